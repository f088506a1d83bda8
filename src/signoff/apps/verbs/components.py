"""The components of a bundle as statements name them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from signoff.errors import ModelError
from signoff.record.bundle import (
    BUNDLE_FILE,
    BUNDLE_LOADER,
    COMPONENT_FOLDER,
    PROMPT_FILE,
    component_digests,
    component_facts,
    parse_bundle,
)
from signoff.record.digest import Digest, Json

if TYPE_CHECKING:
    from signoff.adapters.model_folder import ModelFolder


def components_of(model: "ModelFolder") -> Mapping[str, Digest]:
    """Role → digest of a bundle's components; empty for a model that is no bundle.

    Raises:
        ModelError: it is a bundle whose `bundle.json` cannot be read.
    """
    return {} if model.loader != BUNDLE_LOADER else component_digests(_said(model), model.files)


def facts_of(model: "ModelFolder") -> Mapping[str, Json]:
    """What `signoff diff` compares of a bundle's components; empty for a model that is no bundle.

    Raises:
        ModelError: it is a bundle whose `bundle.json` cannot be read.
    """
    return {} if model.loader != BUNDLE_LOADER else component_facts(_said(model), model.files)


def prompt_of(model: "ModelFolder") -> tuple[str, int, str] | None:
    """Name, version and text of a bundle's prompt; None for a model that is no bundle.

    Raises:
        ModelError: it is a bundle whose files cannot be read.
    """
    if model.loader != BUNDLE_LOADER:
        return None
    prompt = parse_bundle(_said(model)).components.prompt
    try:
        text = (model.path / COMPONENT_FOLDER / "prompt" / PROMPT_FILE).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError("the bundle's prompt cannot be read", where=PROMPT_FILE) from error
    return prompt.name, int(prompt.version), text


def _said(model: "ModelFolder") -> bytes:
    path = model.path / BUNDLE_FILE
    return path.read_bytes() if path.is_file() else b""
