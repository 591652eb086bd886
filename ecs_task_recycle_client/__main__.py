"""`python -m ecs_task_recycle_client`: the same as the command `ecs-task-recycle`."""

from ecs_task_recycle_client.main import command

if __name__ == "__main__":
    command()
