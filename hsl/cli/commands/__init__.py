"""The commands: their options, help and examples. A module here is imported when its command is named."""
