"""T5 and BERT-type models with many tiny tasks, in memory that is planned before anything runs.

    import tusk

    with tusk.Model("t5.tusk", tasks=["dates.tusk"]) as model, model.session(task="dates") as session:
        print(session.generate("It ended on the third of June, nineteen ninety-eight."))

A `Model` is a backbone and tasks in files that are mapped read-only; a `Session` is the memory and the threads that
answer with it. Letters in shapes: S tokens of the source, T decoder positions, D width of the backbone, V ids with
logits, N texts.
"""

from ._errors import BudgetError, DataError, Error, InputError, InternalError, UsageError
from ._model import Footprint, Model, ModelInfo, Task
from ._session import Scores, Session, Tokens

__all__ = [
    "BudgetError", "DataError", "Error", "Footprint", "InputError", "InternalError", "Model", "ModelInfo", "Scores",
    "Session", "Task", "Tokens", "UsageError",
]
