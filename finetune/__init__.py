"""What people install: a program for the terminal (`finetune.cli`) and a client of the app's API."""
