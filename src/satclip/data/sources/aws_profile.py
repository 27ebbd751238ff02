"""The keys that the AWS command keeps in files, which obstore does not read."""

import configparser
import os
from pathlib import Path
from typing import Any

KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
# Whatever gives keys in the environment comes first, as for the command; obstore reads these by itself.
ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")
NAMED = {"region": ("AWS_REGION", "AWS_DEFAULT_REGION"), "endpoint": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")}


def aws_profile() -> dict[str, Any]:
    """Options of obstore from ~/.aws/credentials and ~/.aws/config, of the profile in AWS_PROFILE.

    Raises:
        OSError: AWS_PROFILE names a profile that has no keys there.
    """
    asked = os.environ.get("AWS_PROFILE")
    profile, found = asked or "default", {}
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile),
    ):
        parser = configparser.RawConfigParser()
        parser.read(Path(os.environ.get(variable, f"~/.aws/{file}")).expanduser(), encoding="utf-8")
        if parser.has_section(section):
            found.update({KEYS[name]: value for name, value in parser.items(section) if name in KEYS})
    keys = "access_key_id" in found and "secret_access_key" in found
    if any(os.environ.get(name) for name in ENVIRONMENT):
        found = {name: value for name, value in found.items() if name in NAMED}
    elif asked and not keys:
        raise OSError(
            f"no keys of AWS_PROFILE={asked} in ~/.aws/credentials; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            f"(`aws configure export-credentials` prints them), or dataset.urls='pipe:aws s3 cp s3://... -'"
        )
    return {name: value for name, value in found.items() if not any(os.environ.get(v) for v in NAMED.get(name, ()))}
