"""Layer 9: adapters to other libraries, one module each; imported only when used."""
