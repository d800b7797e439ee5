"""Readiness rules as plain predicates with reasons, for the settings, the constructors, the gate and the policies.

A predicate about one value answers with the reason why it is refused, or ``None``; one about several answers with a
list of problems. A reason says what is wrong, the value, what is allowed, and what mends it.
"""

from components.rules.advice import *
from components.rules.alerts import *
from components.rules.experiments import *
from components.rules.flags import *
from components.rules.images import *
from components.rules.names import *
from components.rules.network import *
from components.rules.pod_merge import *
from components.rules.pod_template import *
from components.rules.routes import *
from components.rules.secrets import *
from components.rules.sizes import *
from components.rules.text import *
from components.rules.traffic import *
