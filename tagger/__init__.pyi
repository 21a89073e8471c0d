from tagger.api import distil as distil
from tagger.api import train as train
from tagger.corpus.loading import read_corpus as read_corpus
from tagger.corpus.loading import write_corpus as write_corpus
from tagger.errors import InputError as InputError
from tagger.evaluation.model_scores import ModelScores as ModelScores
from tagger.runtime.scoring import evaluate as evaluate
from tagger.runtime.scoring import measure_forgetting as measure_forgetting
from tagger.runtime.stream import StreamingTagger as StreamingTagger
from tagger.runtime.tagger import Tagger as Tagger
from tagger.text.sentence import Sentence as Sentence
from tagger.text.sentence import Span as Span
from tagger.training.loop import EpochRecord as EpochRecord
from tagger.training.loop import StepRecord as StepRecord

__all__ = [
    "EpochRecord",
    "InputError",
    "ModelScores",
    "Sentence",
    "Span",
    "StepRecord",
    "StreamingTagger",
    "Tagger",
    "distil",
    "evaluate",
    "measure_forgetting",
    "read_corpus",
    "train",
    "write_corpus",
]
__version__: str
