"""Several processes that train one model: which of them this is, and what they do as one.

A launcher, torchrun or SLURM's srun, starts the same command once a process and says in the
environment which of them each is. All of them come to the same points in the same order; a process
that ends takes the others with it, and one of them says why.
"""

import atexit
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from mpp.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric.plugins import ClusterEnvironment
    from torch import Tensor
    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")
Strategy = Literal["auto", "ddp", "fsdp"]
"""How processes share a training, as Lightning names it."""
BY_HAND = ("bash", "interactive")
"""Names of SLURM jobs in which commands are typed, as Lightning takes them."""
_stores: list["Store"] = []


@dataclass(frozen=True)
class Launched:
    """What the launcher says.

    Args:
        count: Processes of the run.
        rank: Number of this one, from 0.
        local_rank: Its number on its machine.
        nodes: Machines.
        by: The launcher; none where this process was started alone.
    """

    count: int = 1
    rank: int = 0
    local_rank: int = 0
    nodes: int = 1
    by: Literal["", "torchrun", "srun"] = ""

    @property
    def per_node(self) -> int:
        """Processes a machine."""
        return self.count // self.nodes

    def environment(self) -> "ClusterEnvironment":
        """The same for Lightning.

        Raises:
            InputError: SLURM does not say how many tasks a node has.
        """
        from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
        from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

        if self.by == "torchrun":
            return TorchElasticEnvironment()
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise InputError(
                f"SLURM started {self.count} tasks without --ntasks-per-node; give it to sbatch or "
                "srun"
            )
        return SLURMEnvironment(auto_requeue=False)


def launched() -> Launched:
    """What torchrun or srun says of this process; one process alone without them."""
    found = os.environ
    if "TORCHELASTIC_RUN_ID" in found:
        count, here = int(found["WORLD_SIZE"]), int(found["LOCAL_WORLD_SIZE"])
        rank, local_rank = int(found["RANK"]), int(found["LOCAL_RANK"])
        return Launched(count, rank, local_rank, count // here, "torchrun")
    # Of a step that srun started; the script of a job has the other variables as well.
    if "SLURM_STEP_NUM_TASKS" in found and found.get("SLURM_JOB_NAME") not in BY_HAND:
        return Launched(
            int(found["SLURM_STEP_NUM_TASKS"]),
            int(found["SLURM_PROCID"]),
            int(found["SLURM_LOCALID"]),
            int(found["SLURM_STEP_NUM_NODES"]),
            by="srun",
        )
    return Launched()


def start() -> Launched:
    """Join the other processes of the run, if there are any and this was not done before.

    Raises:
        InputError: As `Launched.environment` says.
    """
    found = launched()
    if found.count == 1 or _stores:
        return found
    import torch
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    environment = found.environment()
    os.environ["MASTER_ADDR"] = environment.main_address
    os.environ["MASTER_PORT"] = str(environment.main_port)
    if found.rank:
        logging.getLogger("mpp").setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore")
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(found.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    store, rank, count = next(rendezvous("env://", found.rank, found.count))
    init_process_group(backend, store=store, rank=rank, world_size=count)
    atexit.register(destroy_process_group)
    _stores.append(PrefixStore("mpp", store))
    return found


def require(
    devices: int | None, num_nodes: int | None, accumulate: int, strategy: Strategy = "auto"
) -> Launched:
    """The processes of this run.

    Args:
        devices: Processes a machine that the user expects; any number when left out.
        num_nodes: Machines that the user expects; any number when left out.
        accumulate: Batches a step, which the processes share out.
        strategy: How they share the work.

    Raises:
        InputError: There are others, or they cannot share the batches or the weights out.
    """
    found = start()
    if strategy == "fsdp":
        # Lightning's FSDPStrategy flattens matrices, which Muon needs whole. PyTorch's fully_shard
        # keeps them, but waits forever for gradients that only some processes have.
        raise InputError(
            "strategy is fsdp, and weights cannot be shared out: a batch of one system has no "
            "gradient for what is of others; give ddp, and a model that fits one device"
        )
    asked = {"devices": (devices, found.per_node), "num_nodes": (num_nodes, found.nodes)}
    for name, (expected, there) in asked.items():
        if expected is not None and expected != there:
            raise InputError(
                f"{name} is {expected}, and the run has {there}; start it with torchrun "
                f"--nnodes {num_nodes or found.nodes} --nproc-per-node {devices or found.per_node} "
                f"-m mpp, or leave {name} out"
            )
    if accumulate % found.count:
        raise InputError(
            f"accumulate is {accumulate}, and {found.count} processes share the batches of a step "
            f"out; give {-(-accumulate // found.count) * found.count} or another multiple of "
            f"{found.count}"
        )
    return found


def count() -> int:
    """Processes of the run."""
    return launched().count if _stores else 1


def rank() -> int:
    """Number of this process."""
    return launched().rank if _stores else 0


def number(own: int) -> int:
    """Number in the whole run of a batch that is number ``own`` of this process."""
    return own * count() + rank()


def by_first(work: Callable[[], T]) -> T:
    """Let the first process do something; the others wait, and get the result or the error."""
    if count() == 1:
        return work()
    import torch.distributed as dist

    told: list[Any] = [None, None]
    if rank() == 0:
        try:
            told[0] = work()
        except Exception as error:
            told[1] = error
    dist.broadcast_object_list(told)
    if told[1] is not None:
        raise told[1]
    return told[0]


def gathered(value: "Tensor") -> "list[Tensor]":
    """A tensor of every process, which has the same shape in each."""
    if count() == 1:
        return [value]
    import torch
    import torch.distributed as dist

    parts = [torch.empty_like(value) for _ in range(count())]
    dist.all_gather(parts, value.contiguous())
    return parts


def gathered_objects(value: T) -> list[T]:
    """Anything of every process."""
    if count() == 1:
        return [value]
    import torch.distributed as dist

    parts: list[Any] = [None] * count()
    dist.all_gather_object(parts, value)
    return parts


def in_order(parts: Sequence[Sequence[T]]) -> list[T]:
    """What the processes found on their batches, in the order of the batches' numbers."""
    return [each for row in zip(*parts, strict=True) for each in row]


def any_of(flag: bool) -> bool:
    """Whether it is so in any process."""
    return any(gathered_objects(flag))


def tells() -> bool:
    """Whether this process is to say why the run ends: the first that asks."""
    found = launched()
    if found.count == 1:
        return True
    if not _stores:
        return found.rank == 0
    try:
        return _stores[0].add("ended", 1) == 1
    except RuntimeError:  # the process that kept count has ended, and has said why
        return False


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error says that another process of the run is no more."""
    if count() == 1:
        return False
    from torch.distributed import DistError

    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Gloo")
    told = str(error)
    return isinstance(error, DistError) or (
        isinstance(error, RuntimeError) and any(sign in told for sign in signs)
    )
