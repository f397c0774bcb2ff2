"""The error envelopes of the service, one function for each kind that was seen on the wire.

ServiceError            carries a ready response; raised anywhere, rendered once in ``server.py``
├── arm_error           Azure Resource Manager: {"error": {"code", "message"}}
├── workspace_error     the workspace front end: details and five additionalInfo entries
└── registry_error      registry discovery: code chain in innerError
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from azureml_emulator.core.http import Request, Response, json_response


class ServiceError(Exception):
    """A response other than success, on its way to the client."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status}")
        self.response = response


def arm_error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> ServiceError:
    """An error of Azure Resource Manager itself."""
    document = {"error": {"code": code, "message": message}}
    return ServiceError(json_response(document, status, headers))


def workspace_error(
    status: int,
    message: str,
    *,
    code: str = "UserError",
    detail: tuple[str, str] | None = None,
    inner: tuple[str, ...] = (),
    location: str = "localregion",
    time: str = "",
) -> ServiceError:
    """An error of the workspace front end.

    Args:
        status: HTTP status.
        message: What the client prints.
        code: ``UserError`` or ``BadRequest``; the specific code is in ``detail`` or ``inner``.
        detail: Code and message of the one entry of ``details``.
        inner: Codes from the outer to the innermost ``innerError``, told in ``additionalInfo``.
        location: The region that answers.
        time: When, as the service writes it.
    """
    additional: list[dict[str, Any]] = [
        {"type": "ComponentName", "info": {"value": "managementfrontend"}},
        {
            "type": "Correlation",
            "info": {"value": {"operation": secrets.token_hex(16), "request": secrets.token_hex(8)}},
        },
        {"type": "Environment", "info": {"value": location}},
        {"type": "Location", "info": {"value": location}},
        {"type": "Time", "info": {"value": time}},
    ]
    chain: dict[str, Any] | None = None
    for inner_code in reversed(inner):
        chain = {"code": inner_code, "innerError": chain}
    if chain is not None:
        additional.append({"type": "InnerError", "info": {"value": chain}})
    details = (
        [{"code": detail[0], "message": detail[1], "details": [], "additionalInfo": []}] if detail else []
    )
    document = {"error": {"code": code, "message": message, "details": details, "additionalInfo": additional}}
    return ServiceError(json_response(document, status, {"x-ms-response-type": "error"}))


def registry_error(registry: str, location: str, time: str) -> ServiceError:
    """The response of registry discovery for a registry that the caller may not see."""
    document = {
        "error": {
            "code": "UserError",
            "severity": None,
            "message": f"User/tenant/subscription is not allowed to access registry {registry}",
            "messageFormat": "User/tenant/subscription is not allowed to access registry {feedName}",
            "messageParameters": {"feedName": registry},
            "referenceCode": None,
            "detailsUri": None,
            "target": None,
            "details": [],
            "innerError": {
                "code": "Auth",
                "innerError": {
                    "code": "Authorization",
                    "innerError": {"code": "UnAuthorizedRegistryAccess", "innerError": None},
                },
            },
            "debugInfo": None,
            "additionalInfo": None,
        },
        "correlation": {"operation": secrets.token_hex(16), "request": secrets.token_hex(8)},
        "environment": location,
        "location": location,
        "time": time,
        "componentName": "feedmanagement",
        "statusCode": 403,
    }
    return ServiceError(json_response(document, 403, {"x-ms-response-type": "error"}))


def json_object(request: Request) -> dict[str, Any]:
    """The body of a request as a JSON object.

    Raises:
        ServiceError: 400 when it is not one.
    """
    try:
        value = json.loads(request.body)
    except ValueError:
        raise workspace_error(
            400, "The request body is not valid JSON.", code="InvalidRequestContent"
        ) from None
    if not isinstance(value, dict):
        raise workspace_error(400, "The request body must be a JSON object.", code="InvalidRequestContent")
    return value
