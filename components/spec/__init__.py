"""What a stack file may say: each key once, with its type, its default, its rule and its meaning; pure, no pydantic.

`settings` reads stack files by it, components are handed it, and the reference is made from it.
"""

from components.spec.chain import *
from components.spec.experiment import *
from components.spec.flags import *
from components.spec.marks import *
from components.spec.route import *
from components.spec.service import *
from components.spec.shadow import *
from components.spec.stack import *
from components.spec.strategy import *
from components.spec.timing import *
