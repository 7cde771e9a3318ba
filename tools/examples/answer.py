import sys

import tusk

backbone, task, text = sys.argv[1:]
with tusk.Model(backbone) as model, model.session(task) as session:
    print(session.generate(text))
