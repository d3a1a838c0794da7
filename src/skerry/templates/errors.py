"""What a template can be refused with."""

from __future__ import annotations

INVALID_TEMPLATE = "InvalidTemplate"
INVALID_CONTENT = "InvalidRequestContent"
OUTPUT_FAILED = "DeploymentOutputEvaluationFailed"


class TemplateError(Exception):
    """A template, its parameters or one of its expressions is not valid.

    `code` and `message` go into ARM's error envelope; `target` is the place as a JSON path from the template's
    root (`resources[2].properties.name`), or empty where the whole template is meant.
    """

    def __init__(self, code: str, message: str, target: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.target = target


class Fault(TemplateError):
    """An expression that cannot be parsed or evaluated, before its place in the template is known.

    `offset` counts characters from the expression's opening bracket; None until the call that failed is known.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(INVALID_TEMPLATE, message)
        self.offset = offset


def invalid(message: str, target: str = "") -> TemplateError:
    """An `InvalidTemplate` error in the sentence that ARM wraps such messages in."""
    return TemplateError(INVALID_TEMPLATE, f"Deployment template validation failed: '{message}'.", target)


def misplaced(fault: Fault, expression: str, path: str) -> TemplateError:
    """The same fault, now with its expression and its place."""
    shown = expression if len(expression) <= 400 else expression[:400] + "…"
    where = "" if fault.offset is None else f" at offset {fault.offset}"
    message = f"Unable to process the template language expression '{shown}' in '{path}'{where}: {fault.message}"
    return TemplateError(INVALID_TEMPLATE, message, path)
