"""The mail configuration with which tests compose mails."""

from __future__ import annotations

from typing import Final

from ecs_task_recycle.settings.input_json import Mail

MAIL: Final = Mail(
    host="smtp.example.com",
    port=587,
    from_email="noreply@example.com",
    to=("admin@example.com",),
    email_subject="ECS Service Task Recycle Completed",
    subject_prefix="AWS ECS",
)
