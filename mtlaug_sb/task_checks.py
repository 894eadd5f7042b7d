"""What of a set of tasks cannot be, said before the first step."""

import difflib


def check_targets(tasks, main_task, provided):
    """Refuse what would be found out only after the first epoch, or never."""
    if main_task not in tasks:
        raise ValueError(f"main_task: no task is called '{main_task}'; the tasks are {', '.join(tasks)}")
    for name, task in tasks.items():
        if task.target not in provided:
            near = difflib.get_close_matches(task.target, provided, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ValueError(
                f"task '{name}' needs the target '{task.target}', which nobody provides; {hint}"
                f"provided: {', '.join(sorted(provided))}"
            )


def check_names(tasks, policy):
    """Refuse names of classes that are not those of the policy, in its order: figures would stand under wrong names."""
    for name, task in tasks.items():
        for metric in task.metrics if task.target in policy.provides else ():
            if getattr(metric, "names", policy.names) != policy.names:
                raise ValueError(
                    f"task '{name}' names the classes {', '.join(metric.names)}, and the policy's types are "
                    f"{', '.join(policy.names)}: name the same, in this order"
                )


def layer_of(layers, name, task):
    """(frames [batch, frames, dim], lengths [batch]) of the layer that a task sits on; a ValueError without such a layer."""
    if not -len(layers) <= task.layer < len(layers):
        raise ValueError(f"task '{name}' sits on layer {task.layer}, and the encoder has layers 0 to {len(layers) - 1}")
    return layers[task.layer]
