"""Location encoders as folders: config.json, model.safetensors and a model card, locally or on the Hugging Face hub."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import HfApi, ModelCard, PyTorchModelHubMixin, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor, nn

from satclip.weights import check_fit, check_sizes, printable, real_weights, widest

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WIDENED = "computes_in"  # in config.json: what weights that are stored as float16 are turned into
MODEL_CARD = "README.md"
EQUATOR_KM = 40_030  # of a sphere of 6,371 km
_LARGEST_CONFIG = 2**20  # bytes

CARD = Path(__file__).with_name("model_card.md")


class PretrainedMixin(
    PyTorchModelHubMixin,
    nn.Module,
    library_name="satclip",
    tags=["geospatial", "location-encoder", "earth-observation"],
    paper_url="https://arxiv.org/abs/2311.17179",
    model_card_template=CARD.read_text(encoding="utf-8"),
):
    """`save_pretrained`, `from_pretrained` and `push_to_hub` for a module that can describe itself."""

    def config(self) -> dict[str, Any]:
        """What `from_config` needs to build this module again, ready for JSON."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The module that `config` describes, with fresh weights."""
        raise NotImplementedError

    @classmethod
    def with_weights(cls, config: Mapping[str, Any], weights: Mapping[str, Tensor], *, source: str) -> Self:
        """The module that `config` describes with these weights, in their dtype and in evaluation mode.

        Raises:
            ValueError: `config` lacks a key or names something unknown, or weights are missing, unknown or of another
                shape; names them and `source`.
        """
        weights = real_weights(weights, source=source)
        check_sizes(config, weights, source=source)
        try:
            with torch.device("meta"):  # names and shapes alone: no memory, whatever the description asks for
                outline = cls.from_config(config).state_dict()
        except (AttributeError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            raise ValueError(f"{source} describes no location encoder ({error})") from error
        remedy = "Its configuration and its weights disagree; save it again with save_pretrained"
        check_fit(outline, weights, source=source, remedy=remedy)
        module = cls.from_config(config)
        module.to(widest(weights)).load_state_dict(weights)
        return module.eval()

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """The module that `save_pretrained` left in `folder`.

        Raises:
            FileNotFoundError: the folder lacks one of the two files.
            ValueError: a file cannot be read, or the two do not fit each other.
        """
        for name in (CONFIG, WEIGHTS):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"no {name} in {folder}; give a folder that save_pretrained wrote")
        try:
            if (folder / CONFIG).stat().st_size > _LARGEST_CONFIG:
                raise ValueError(f"{CONFIG} is larger than any description")
            config = json.loads((folder / CONFIG).read_text())
            weights = _weights(folder / WEIGHTS)
        except (ValueError, RecursionError, SafetensorError) as error:  # JSON and UTF-8 raise kinds of ValueError
            reason = printable(str(error))
            raise ValueError(f"{folder} cannot be read ({reason}); save it again with save_pretrained") from error
        if not isinstance(config, dict):
            raise ValueError(f"{folder / CONFIG} holds no object; save it again with save_pretrained")
        if WIDENED in config:  # stored in half the bytes; in half the digits the encoding's tables would lose theirs
            if config[WIDENED] != "float32":
                raise ValueError(f"{folder / CONFIG}: {WIDENED} can only be float32; leave it out")
            weights = {name: tensor.float() for name, tensor in weights.items()}
        return cls.with_weights(config, weights, source=str(folder))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Self:
        """The module of a folder, as `from_folder` reads it, or of a name on the hub, with the options of its download.

        Raises:
            FileNotFoundError, ValueError: as `from_folder`.
            OSError: of huggingface_hub, where the name cannot be fetched.
        """
        folder = Path(pretrained_model_name_or_path)
        if folder.is_dir():
            return cls.from_folder(folder)
        module: Self = super().from_pretrained(pretrained_model_name_or_path, **options)
        return module

    def _save_pretrained(self, save_directory: Path) -> None:
        if not all(isinstance(value, Tensor) for value in self.state_dict().values()):
            raise TypeError("quantised layers have no weights to save as safetensors: save the encoder before it is")
        try:
            super()._save_pretrained(save_directory)
        except SafetensorError as error:  # of the operating system, on its way through another language
            raise OSError(f"{save_directory / WEIGHTS}: {error}") from error
        (save_directory / CONFIG).write_text(json.dumps(self.config(), indent=2) + "\n")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **described: Any,
    ) -> Self:
        """Build from config.json, which the mixin hands over piece by piece in `described` and `from_folder` reads."""
        folder = Path(model_id)
        if not folder.is_dir():
            fetch = partial(
                hf_hub_download,
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
            fetch(CONFIG)
            folder = Path(fetch(WEIGHTS)).parent
        return cls.from_folder(folder)

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: dict[str, Any] | None = None, **options: Any) -> str:
        """Upload weights, configuration and a model card to the Hugging Face hub; returns the address of the commit.

        A card that is there already stays, since a person may have written it; `model_card_kwargs` writes it anew.

        Args:
            repo_id: owner/name; made where it is not there.
            model_card_kwargs: as for `generate_model_card`, which takes `repo_id` and `model_name` from the name.
            options: of huggingface_hub: token, private, branch, create_pr, commit_message, ...

        Raises:
            OSError: of huggingface_hub, where the hub cannot be reached or refuses.
        """
        told = {"repo_id": repo_id, "model_name": repo_id.rpartition("/")[2], **(model_card_kwargs or {})}
        if not model_card_kwargs and self._has_card(repo_id, options.get("branch"), options.get("token")):
            ignored = options.get("ignore_patterns") or []
            options["ignore_patterns"] = [*([ignored] if isinstance(ignored, str) else ignored), MODEL_CARD]
        address: str = super().push_to_hub(repo_id, model_card_kwargs=told, **options)
        return address

    @staticmethod
    def _has_card(repo_id: str, branch: str | None, token: str | None) -> bool:
        return HfApi(token=token).file_exists(repo_id, MODEL_CARD, revision=branch)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card, from model_card.md beside this file: what it is, how to use it, its limits, its configuration.

        Args:
            args: none.
            kwargs: `model_name`, `repo_id`, and as Markdown `training_data`, `scores` (the table.md of
                `satclip evaluate`), `limits` and `licence`. What is not told, the card says is not told.
        """
        config = self.config()
        weights = list(self.parameters())
        degrees = config["encoding"].get("legendre_polys", 0)
        return super().generate_model_card(
            *args,
            config=config,
            config_json=json.dumps(config, indent=2),
            parameters=sum(weight.numel() for weight in weights),
            dtype=str(weights[0].dtype).removeprefix("torch."),
            shortest_wave_km=round(EQUATOR_KM / (degrees - 1)) if degrees > 1 else 0,
            **kwargs,
        )


def _weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; read into memory first where its name is no UTF-8, which the library needs."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return load(path.read_bytes())
    return load_file(path)
