"""OpenFeature's side of the flags: on or off for a user. Imported only where flags are configured."""

from collections.abc import Mapping
from typing import Any, NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider
from openfeature.provider.metadata import Metadata

from app.flags import is_on


class AppConfigProvider(AbstractProvider):
    """Decides by `values`, what AppConfig gave last: each flag with `enabled`, `percent` and `internal`."""

    def __init__(self) -> None:
        super().__init__()
        self.values: Mapping[str, Mapping[str, Any]] = {}

    def get_metadata(self) -> Metadata:
        return Metadata("AppConfig")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        del default_value
        if (value := self.values.get(flag_key)) is None:
            raise FlagNotFoundError(f"AppConfig has no flag {flag_key}")
        context = evaluation_context or EvaluationContext()
        on = is_on(value, flag_key, context.targeting_key, internal=context.attributes.get("internal") is True)
        return FlagResolutionDetails(on, reason=Reason.SPLIT if value.get("enabled") else Reason.DISABLED)

    def resolve_string_details(self, flag_key: str, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401
        raise TypeMismatchError(f"{flag_key} is on or off")

    def resolve_integer_details(self, flag_key: str, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401
        raise TypeMismatchError(f"{flag_key} is on or off")

    def resolve_float_details(self, flag_key: str, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401
        raise TypeMismatchError(f"{flag_key} is on or off")

    def resolve_object_details(self, flag_key: str, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401
        raise TypeMismatchError(f"{flag_key} is on or off")
