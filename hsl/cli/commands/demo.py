"""`hsl demo`."""

from hsl.cli.commands.node_options import DEMO_ENDS, fault_group, kernel, recording_group, size, system_group
from hsl.cli.help import Example, Leaf
from hsl.cli.help_values import DEFAULT_INPUT, MAX_GPUS
from hsl.cli.options import Choice, home, input_file, integer, option, output, time_limit

__all__ = ["command"]

command = Leaf(
    "demo",
    calls="hsl.cli.demo:demo",
    summary="Run a CPU and a GPU that share memory, and verify the result.",
    text="""
    The CPU puts a file into coherent host memory. The GPU reads it by cache lines, counts bytes and
    words, and adds its counts to counters of the CPU with atomics. The result must equal Python's own
    count.

    saxpy, reduction and matmul work on arrays, with up to eight GPUs, always on the loopback. --home
    says where the arrays are. Their result must equal numpy's to the bit.
    """,
    options={
        "Workload": [
            kernel(),
            input_file("File to count; - is stdin.", default_is=DEFAULT_INPUT),
            size(),
            home(default="device", of="the arrays", given=False),
        ],
        "System": [
            option(
                "--transport",
                type=Choice(["tcp", "unix", "udp", "loopback"]),
                metavar="TRANSPORT",
                help="Carrier of flits. tcp, unix, udp: two processes; loopback: one process, virtual time.",
                default_is="tcp; loopback for array kernels",
            ),
            integer(
                "--gpus", least=1, most=MAX_GPUS, help="GPUs that share an array kernel.", default_is="1"
            ),
            *system_group(),
        ],
        "Faults": fault_group(),
        "Recording": recording_group(),
        "Run": [time_limit("Give up a run that has not ended after SECONDS, with exit code 7.")],
    },
    output=output(more="Show the tables of links, messages, credits and caches."),
    examples=[
        Example("hsl demo --input LICENSE --seed 7", "Count the words of a file over tcp."),
        Example("hsl demo --input LICENSE --faults 0.01 --seed 7", "Repair damaged and lost flits."),
        Example("hsl demo --kernel matmul --home device --size 32 --seed 1", "Multiply matrices on a GPU."),
    ],
    ends=DEMO_ENDS,
)
