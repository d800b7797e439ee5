"""What the product means by a color, a share of traffic, a version, a name and a time; pure, without Pulumi."""

from components.model.color import *
from components.model.labels import *
from components.model.names import *
from components.model.priorities import *
from components.model.timing import *
from components.model.version import *
from components.model.written import *
