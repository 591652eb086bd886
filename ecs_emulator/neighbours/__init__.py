"""What stands beside ECS: tables, alarms, secrets, executions."""
