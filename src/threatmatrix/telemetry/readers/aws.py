"""What the logs of Amazon Web Services have in common: identities, names of models, calls and their errors.

The readers of Bedrock's invocation log, of CloudTrail and of OCSF say the same of the same call through this module;
only so can their records be joined.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from threatmatrix.model.event import Category
from threatmatrix.telemetry.readers.parts import first_text

__all__ = ["BEDROCK", "Caller", "call_of", "caller_of", "http_status", "model_in", "model_of"]

BEDROCK = "bedrock.amazonaws.com"

_S3 = "s3.amazonaws.com"
_S3_OBJECT = re.compile(
    r"(?:Get|Put|Head|Delete|Copy|Post|Restore|Select|List)Objects?\w*|\w*MultipartUpload|UploadPart\w*", re.ASCII
)
_MODEL_SERVICES = frozenset({"bedrock", "bedrock-runtime", "sagemaker", "runtime.sagemaker"})
# Operations that run a model. Sources: Amazon Bedrock Runtime and Amazon SageMaker Runtime, API references.
_INFERENCE = {
    "Converse": "chat",
    "ConverseStream": "chat",
    "InvokeModel": "infer",
    "InvokeModelWithResponseStream": "infer",
    "InvokeModelWithBidirectionalStream": "infer",
    "StartAsyncInvoke": "infer",
    "InvokeEndpoint": "infer",
    "InvokeEndpointAsync": "infer",
    "InvokeEndpointWithResponseStream": "infer",
}
_READS = ("Describe", "List", "Get", "Search")
_SETTINGS = "Configuration"  # reading how logging is set up is no question about a model, and worth its own name
# The service's errors and their HTTP status, from the same references; a prefix such as "Client." does not count.
_STATUS = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "InternalDependencyException": 530,
    "InternalFailure": 500,
    "InternalServerException": 500,
    "ModelError": 424,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnauthorizedOperation": 403,
    "UnrecognizedClientException": 403,
    "ValidationError": 400,
    "ValidationException": 400,
}
_SSO_ROLE = "AWSReservedSSO_"


class Caller(NamedTuple):
    """Who called, and the session of the role that they used."""

    principal: str | None
    session: str | None = None


def caller_of(arn: str | None) -> Caller:
    """The principal of an ARN: for an assumed role the role, and the session apart.

    Whoever assumes a role chooses the session's name: were it a part of the principal, one caller could be many. The
    roles of IAM Identity Center (``AWSReservedSSO_…``) are different: there AWS sets it, to the person's user name.
    """
    if arn is None or ":assumed-role/" not in arn:
        return Caller(arn)
    role, _, session = arn.rpartition("/")
    if role.endswith(":assumed-role"):  # no session: AWS does not write this
        return Caller(arn)
    if role.rpartition("/")[2].startswith(_SSO_ROLE):
        return Caller(arn)
    return Caller(role, session or None)


def model_of(name: str | None) -> str | None:
    """The name of a model, endpoint or inference profile; of an ARN its last part."""
    if name is None or not name.startswith("arn:"):
        return name
    return name.rpartition("/")[2] or name


def model_in(asked: object) -> str | None:
    """The model or endpoint that a request's parameters name."""
    return model_of(first_text(asked, "modelId", "modelIdentifier", "endpointName", "modelName"))


def call_of(service: str | None, operation: str) -> tuple[Category, str]:
    """Category and operation of an API call: ``service`` such as ``sagemaker.amazonaws.com``."""
    if service == _S3 and _S3_OBJECT.fullmatch(operation):
        return "artifact_access", operation
    name = (service or "").removesuffix(".amazonaws.com")
    if name in _MODEL_SERVICES:
        if operation in _INFERENCE:
            return "inference", _INFERENCE[operation]
        if operation.startswith(_READS) and not operation.endswith(_SETTINGS):
            return "model_access", "metadata"
    return "api_activity", operation


def http_status(error_code: str) -> int | None:
    """The HTTP status that goes with an error code, where it is a known one."""
    return _STATUS.get(error_code.rpartition(".")[2])
