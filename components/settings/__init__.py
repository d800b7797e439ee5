"""The settings of a stack: what ``pulumi.Config`` holds, judged as a whole before anything is built.

The only reader of ``pulumi.Config`` and the only user of pydantic. Keys are camelCase in the stack file and snake_case
here; every refusal carries its full key, such as ``hueshift:services.shop.colors.green.image``.
"""

from components.settings.load import *
from components.settings.messages import *
from components.settings.record import *
from components.settings.schema import *
