"""Model folders on the Hugging Face Hub: only files come and go, nothing is ever run."""

from pathlib import Path

from hiresvae.errors import UserError

PREFIX = "hf:"


def download(repo: str, files: tuple[str, ...], *, revision: str | None = None) -> Path:
    """Returns the folder of a model that was fetched from the Hub, or from its cache.

    Args:
        repo: ``org/name``.
        files: the only files that are fetched.
        revision: branch, tag or commit.

    Raises:
        UserError: there is no such repository, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(repo, revision=revision, allow_patterns=[*files, "README.md"])
        )
    except (OSError, ValueError) as error:  # what the Hub's client raises are kinds of these
        words = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"model {PREFIX}{repo} could not be fetched: {words}") from error


def upload(folder: Path, repo: str, *, private: bool = False, token: str | None = None) -> str:
    """Puts a model folder on the Hub and returns its address.

    Args:
        folder: what is put there, whole.
        repo: ``org/name``; it is made if it does not exist.
        private: whether a new repository is seen by its owner only.
        token: None takes the one that ``hf auth login`` left.

    Raises:
        UserError: the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(repo, repo_type="model", private=private, exist_ok=True)
        done = api.upload_folder(
            folder_path=folder, repo_id=repo, repo_type="model", commit_message="Model by hiresvae"
        )
    except (OSError, ValueError) as error:
        words = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{repo} could not be put on the Hub: {words}") from error
    return str(done)
