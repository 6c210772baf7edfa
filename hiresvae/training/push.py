"""What the critic would have the fakes become, and how far back the model is told.

The model's loss gains ``<fakes, gradient>``, whose derivative is the critic's gradient passed on.
Where a verdict is to stop before the encoder, reconstructions are decoded a second time from
latents that are held: the same pictures, of whose gradient the decoder alone hears.

Source: Larsen et al. 2016 (VAE/GAN, arXiv 1512.09300, algorithm 1), whose code, too, decodes twice;
Bao et al. 2017 (CVAE-GAN, arXiv 1703.10155, algorithm 1).
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from hiresvae.adversary.adversary import Adversary, Verdict
from hiresvae.adversary.balance import gradient_at
from hiresvae.models.contract import Outputs
from hiresvae.models.draws import FromPrior, Given
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise
from hiresvae.training.objective import Fakes


@dataclass(frozen=True)
class Push:
    """The critic's gradient at the fakes, constant, in one part or two.

    Attributes:
        whole: ``(N, C, H, W)``, passed on to whatever made the fakes.
        decoder: ``(N, C, H, W)``, passed on to the decoder alone; None where all is passed on.
    """

    whole: Tensor
    decoder: Tensor | None = None

    @classmethod
    def of(
        cls,
        adversary: Adversary,
        verdict: Verdict,
        share: float,
        scaler: torch.amp.GradScaler | None = None,
    ) -> Self:
        """Returns the gradient of the model's terms, parted as ``adversary.reaches`` says.

        Args:
            adversary: weighs the terms.
            verdict: has the terms.
            share: the ramp's.
            scaler: of the gradients, in half precision.
        """
        if adversary.settings.reaches == "encoder":
            parts = [adversary.model_loss(verdict, share)]
        else:
            parts = [adversary.model_loss(verdict, share, of_originals=o) for o in (True, False)]
        return cls(
            *(
                gradient_at(part, verdict.fakes, needed=True, scaler=scaler).detach()
                for part in parts
            )
        )

    def felt(
        self,
        mixed: Tensor,
        vae: VAE,
        outputs: Outputs,
        labels: Tensor | None,
        fakes: Fakes,
        noise: Noise,
    ) -> Tensor:
        """Returns what to add to the model's loss, ``()``; its value says nothing.

        Args:
            mixed: the fakes ``(N, C, H, W)`` as the critic saw them.
            vae: the model, not wrapped: its wrapper was called for the outputs, and one backward
                serves both.
            outputs: that the fakes are of.
            labels: ``(N,)``, or None.
            fakes: which rows show what.
            noise: numbers of the step that made the outputs.
        """
        total = (mixed.float() * self.whole).sum()
        if self.decoder is None:
            return total
        apart = fakes.mix(held(vae, outputs, labels, fakes, noise))
        return total + (apart.float() * self.decoder).sum()


def held(vae: VAE, outputs: Outputs, labels: Tensor | None, fakes: Fakes, noise: Noise) -> Outputs:
    """Returns the outputs with the reconstructions that the critic sees as the decoder's alone.

    The latents of all rungs are constants, so of a ladder neither posteriors nor what they are told
    relative to hear anything; samples stay as they are, as no encoder made them.

    Args:
        vae: the model, not wrapped.
        outputs: of the model, N rows.
        labels: ``(N,)``, or None.
        fakes: which rows show what.
        noise: numbers of the step that made the outputs.
    """
    rows, pictures = fakes.reconstructed, outputs.reconstruction.detach()
    if len(rows):

        def own(stream: str, *shape: int) -> Tensor:
            return noise.normal(stream, *shape)[rows]

        known = Given([z.detach()[rows] for z in outputs.latents], FromPrior(None))
        walk = vae.walk(known, None if labels is None else labels[rows], len(rows), own)
        again = vae.likelihood(walk.head).mean
        pictures = pictures.index_copy(0, rows, again.to(pictures.dtype))
    return replace(outputs, reconstruction=pictures)
