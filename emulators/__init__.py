"""Stand-ins for services of Azure that a developer's machine lacks; none of them knows this app."""
