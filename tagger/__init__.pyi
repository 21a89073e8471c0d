from tagger.errors import InputError as InputError
from tagger.evaluation.model_scores import ModelScores as ModelScores
from tagger.runtime.stream import StreamingTagger as StreamingTagger
from tagger.runtime.tagger import Tagger as Tagger
from tagger.text.sentence import Sentence as Sentence
from tagger.text.sentence import Span as Span

__all__ = ["InputError", "ModelScores", "Sentence", "Span", "StreamingTagger", "Tagger"]
__version__: str
