"""What the learners of all algorithms share: optimizers, precision, and gradients gathered over batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.core import COMPONENT_METRICS_LOGGER, DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO
from ray.rllib.utils.schedules.scheduler import Scheduler

from algorithms.common.figures import MEAN, without_means
from algorithms.common.malloc import release_memory
from algorithms.common.ranges import Precision
from algorithms.common.rllib_compat import ColumnsOnHost, is_asked_for, seeding_without_compiler
from policies.base import ENCODER, HEAD
from policies.bert.products import fastest_precision

#: Keys of ``learner_config_dict``.
HEAD_RATE, FROZEN_LAYERS = "head_learning_rate_factor", "frozen_layers"
PRECISION, GATHERED_BATCHES, LAST_UPDATE = "precision", "gathered_batches", "last_update"


class PolicyLearner(ColumnsOnHost):
    """Adam with the config's learning rate for the encoder and a multiple of it for the head.

    A fresh head at an encoder's learning rate hardly learns; an encoder at a head's forgets what it was trained for.
    ``learner_config_dict``: ``head_learning_rate_factor``; ``frozen_layers``: how many of the encoder's layers,
    from the embeddings up, stay as they are (0: all are trained); ``precision`` of the forward pass, weights and
    gradients being float32; ``gathered_batches``: how many batches' gradients make one step; ``last_update``: after
    how many steps nothing is learnt any more (None: no end).

    Gradients are clipped as they are: float16's loss scale is taken out before. (RLlib clips what is still scaled, and
    its scaler, stepped once for each of two optimizers, takes the scale out of the second one's gradients twice.) A
    step whose gradients are not finite is skipped and counted.

    Nothing in an update waits for a GPU: what is skipped is decided there (docs/cluster/gpu.md).
    """

    def __init__(self, **kwargs: Any) -> None:
        with seeding_without_compiler():
            super().__init__(**kwargs)

    def build(self) -> None:
        """RLlib's learner with this precision."""
        super().build()
        settings = self.config.learner_config_dict
        precision = computing_precision(settings[PRECISION], self.device)
        self.precision = str(precision).removeprefix("torch.")
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=precision is torch.float16)
        self._gather, self._gathered = settings[GATHERED_BATCHES], 0
        self._updates, self._last_update = 0, settings[LAST_UPDATE]
        self._tick = 0  # of the schedules
        self._skipped: float | torch.Tensor = 0.0  # updates since they were last counted, on the device
        for module_id, _ in self.module.items():
            module = self.module[module_id].unwrapped()
            module.precision = module.model.precision = precision

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Register one optimizer for the encoder and one for the head."""
        module = self.module[module_id].unwrapped()
        settings = config.learner_config_dict
        module.model.freeze(settings[FROZEN_LAYERS])
        rates = self._rates(config)
        module.value_head.requires_grad_(False)  # PPO learns it apart, the others not at all: DDP need not look for it
        for name, group in module.model.parameter_groups().items():
            if parameters := list(group):
                self.register_optimizer(
                    module_id=module_id,
                    optimizer_name=name,
                    # A fused step alone skips itself without a look at what it is given.
                    optimizer=torch.optim.Adam(parameters, fused=True),
                    params=parameters,
                    lr_or_lr_schedule=rates[name],
                )

    @staticmethod
    def _rates(config: Any) -> dict[str, float | list]:
        """The learning rate of each optimizer, or its schedule."""
        return {ENCODER: config.lr, HEAD: _scaled(config.lr, config.learner_config_dict[HEAD_RATE])}

    def compute_losses(self, *, fwd_out: dict[str, Any], batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Each module's loss; the tokens of what it read are counted."""
        for module_id in fwd_out:
            tokens = self.module[module_id].unwrapped().model.tokens_read(batch[module_id][Columns.OBS])
            self.metrics.log_value((module_id, "tokens"), float(tokens), reduce="sum")
        return super().compute_losses(fwd_out=fwd_out, batch=batch)

    def compute_gradients(self, loss_per_module: dict[str, torch.Tensor], **kwargs: Any) -> dict[Any, torch.Tensor]:
        """Add the loss's gradient to what is gathered; returns the mean over batches once they are enough, else {}."""
        if self._updates == self._last_update:
            return {}
        if not self._gathered:
            for optimizer in self._all_optimizers():
                optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(sum(loss_per_module.values())).backward()
        self._gathered += 1
        return self._take_gathered() if self._gathered == self._gather else {}

    def postprocess_gradients(self, gradients_dict: dict[Any, torch.Tensor]) -> dict[Any, torch.Tensor]:
        """Clip, as the config says, what is there."""
        return super().postprocess_gradients(gradients_dict) if gradients_dict else {}

    def apply_gradients(self, gradients_dict: dict[Any, torch.Tensor]) -> None:
        """One step of both optimizers, or none where a gradient is not finite."""
        if not gradients_dict:
            return
        parameters = self._trained_parameters()
        for key, gradient in gradients_dict.items():
            parameters[key].grad = gradient
        skipped = (~self._norm.isfinite()).float()
        self._log_step()
        for optimizer in self._all_optimizers():
            # As a GradScaler tells it; the scale is out already.
            optimizer.found_inf, optimizer.grad_scale = skipped, None
            optimizer.step()
        # Encodings are kept for as long as nothing is written, and fused steps do not count themselves.
        torch.autograd.graph.increment_version(list(parameters.values()))
        self._scaler.update()
        self._updates, self._skipped = self._updates + 1, self._skipped + skipped
        for module_id, _ in self.module.items():
            once = 1 / max(1, self.config.num_learners)  # every learner counts, and the counts are added up
            self.metrics.log_value((module_id, "updates"), once, reduce="lifetime_sum")

    def _log_step(self) -> None:
        """What the step is made with. RLlib's learning rates are the next step's, its norms the last one's."""
        for module_id, _ in self.module.items():
            for name, optimizer in self.get_optimizers_for_module(module_id):
                rate = float(optimizer.param_groups[0]["lr"])
                self.metrics.log_value((module_id, f"learning_rate/{name}"), rate, reduce=MEAN)
            # nan is left out of a mean, and what is infinite belongs to a step that is skipped.
            norm = torch.where(self._norm.isfinite(), self._norm, torch.nan)
            self.metrics.log_value((module_id, "gradient_norm"), norm, reduce=MEAN)

    def step_with_what_is_gathered(self) -> None:
        """Make the step that fewer batches than usual have gathered for, if there are any."""
        if self._gathered:
            self.apply_gradients(self.postprocess_gradients(self._take_gathered()))

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """RLlib's, and free memory goes back to the system.

        Schedules go by updates where these end the run: nobody knows before how many iterations they take.
        """
        if self._last_update is not None:
            timesteps = timesteps | {NUM_ENV_STEPS_SAMPLED_LIFETIME: self._updates}
        self._tick = timesteps[NUM_ENV_STEPS_SAMPLED_LIFETIME]
        skipped, self._skipped = float(self._skipped) / max(1, self.config.num_learners), 0.0
        for module_id, _ in self.module.items():
            self.metrics.log_value((module_id, "skipped_updates"), skipped, reduce="lifetime_sum")
            if self._scaler.is_enabled():
                self.metrics.log_value((module_id, "loss_scale"), self._scaler.get_scale(), reduce=MEAN)
        super().after_gradient_based_update(timesteps=timesteps)
        release_memory()

    def columns_on_host(self, module_id: str) -> Collection[str]:
        """The observations, where the policy reads them there."""
        return {Columns.OBS} if self.module[module_id].unwrapped().model.reads_on_host else set()

    def observed(self, arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """An observation's arrays where the policy is to read them."""
        device = "cpu" if Columns.OBS in self.columns_on_host(DEFAULT_MODULE_ID) else self.device
        return {name: torch.as_tensor(array, device=device) for name, array in arrays.items()}

    def policy_state(self) -> dict[str, Any]:
        """The weights of the policy that a run writes, as a ``PolicyModule``'s state: those it has now."""
        return self.module[DEFAULT_MODULE_ID].unwrapped().get_state()

    def _all_optimizers(self) -> list[torch.optim.Optimizer]:
        return [each for module_id, _ in self.module.items() for _, each in self.get_optimizers_for_module(module_id)]

    def _trained_parameters(self) -> dict[Any, torch.nn.Parameter]:
        """By RLlib's keys for their gradients."""
        groups = (group for optimizer in self._all_optimizers() for group in optimizer.param_groups)
        return {self.get_param_ref(parameter): parameter for group in groups for parameter in group["params"]}

    def _take_gathered(self) -> dict[Any, torch.Tensor]:
        for optimizer in self._all_optimizers():
            if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
                self._scaler.unscale_(optimizer)
        gradients = {key: parameter.grad for key, parameter in self._trained_parameters().items()}
        if self._gathered > 1:
            for gradient in gradients.values():
                if gradient is not None:
                    gradient.div_(self._gathered)
        self._gathered = 0
        # Before they are clipped, which would make a finite number of an infinite one.
        found = [gradient for gradient in gradients.values() if gradient is not None]
        self._norm = torch.nn.utils.get_total_norm(found)
        return gradients

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state, and, where more than the weights is asked for, the loss scale and the updates so far."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if is_asked_for(self, "updates", components, not_components):
            state |= {"loss_scaler": self._scaler.state_dict(), "updates": self._updates, "tick": self._tick}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``; also of earlier versions', whose optimizers say that they are not fused.

        RLlib's own leaves the weights as they are where their number in the state is not above the learner's.
        """
        if COMPONENT_METRICS_LOGGER in state:
            state = {**state, COMPONENT_METRICS_LOGGER: without_means(state[COMPONENT_METRICS_LOGGER])}
        super().set_state({name: value for name, value in state.items() if name != WEIGHTS_SEQ_NO})
        super().set_state({name: value for name, value in state.items() if name == WEIGHTS_SEQ_NO})
        for optimizer in self._all_optimizers():
            for group in optimizer.param_groups:
                group["fused"] = True
            for parameter, moments in optimizer.state.items():
                moments["step"] = moments["step"].to(parameter.device)
        if state.get("loss_scaler"):
            self._scaler.load_state_dict(state["loss_scaler"])
        self._updates = state.get("updates", self._updates)
        if "tick" in state:
            self._tick = state["tick"]
            self.set_schedules(self._tick)

    def set_schedules(self, tick: int) -> None:
        """Have what is scheduled stand where the config's schedule has it at ``tick``.

        RLlib takes the learning rate of a state's optimizer for the first update, whatever the config has.
        """
        for module_id, _ in self.module.items():
            rates = self._rates(self.config.get_config_for_module(module_id))
            for name, optimizer in self.get_optimizers_for_module(module_id):
                for group in optimizer.param_groups:
                    group["lr"] = Scheduler(rates[name]).update(timestep=tick)


def computing_precision(name: Precision, device: torch.device) -> torch.dtype:
    """What a forward pass computes in; "auto" is the fastest that the hardware has, which for a T4 is float16."""
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return fastest_precision()


def _scaled(rate: float | list, factor: float) -> float | list:
    if isinstance(rate, list):
        return [[step, value * factor] for step, value in rate]
    return rate * factor
