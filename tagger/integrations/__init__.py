"""Layer 6: adapters to other libraries, one module each; imported only when used."""
