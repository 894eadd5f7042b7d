"""Models on the Hugging Face hub: the two files of a model are fetched, as plain copies, and nothing else."""

import os
import pathlib
import re

from mtlaug_sb.inference.description import ModelError
from mtlaug_sb.inference.model_folder import FILES

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def is_hub_id(source):
    """Whether the text looks like ``owner/name``."""
    return bool(_HUB_ID.fullmatch(source)) and ".." not in source


def fetch_model(hub_id, savedir=None, revision=None):
    """Fetch a model's files into a folder, and return it. With HF_HUB_OFFLINE=1, only what is there already.

    Arguments
    ---------
    hub_id : str
        ``owner/name``.
    savedir : str or None
        By default ``~/.cache/mtlaug_sb/owner--name``, or below XDG_CACHE_HOME.
    revision : str or None
        Branch, tag or commit.

    Raises
    ------
    ModelError
        If it cannot be fetched.
    """
    if savedir is None:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        savedir = cache / "mtlaug_sb" / "--".join([*hub_id.split("/"), *([revision] if revision else [])]).replace("/", "--")
    folder = pathlib.Path(savedir)
    import huggingface_hub  # here: slow, and not needed for a local folder

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        if all((folder / name).is_file() for name in FILES):
            return folder
        raise ModelError(f"no model '{hub_id}' in '{folder}', and HF_HUB_OFFLINE forbids to fetch it")
    try:
        huggingface_hub.snapshot_download(hub_id, revision=revision, local_dir=folder, allow_patterns=list(FILES))
    except (huggingface_hub.errors.HfHubHTTPError, huggingface_hub.errors.HFValidationError, OSError, ValueError) as error:
        if all((folder / name).is_file() for name in FILES):
            return folder  # fetched earlier; the hub cannot be reached now
        raise ModelError(f"'{hub_id}' cannot be fetched from the hub ({' '.join(str(error).split())[:200]})") from None
    return folder


def push_folder(folder, hub_id, token=None, private=True):
    """Upload an exported folder; returns its address. The token is huggingface_hub's own unless given."""
    import huggingface_hub

    if not is_hub_id(hub_id):
        raise ModelError(f"a hub id is owner/name, not '{hub_id}'")
    api = huggingface_hub.HfApi(token=token)
    api.create_repo(hub_id, private=private, exist_ok=True)
    return api.upload_folder(repo_id=hub_id, folder_path=folder, commit_message="Export of mtlaug_sb")
