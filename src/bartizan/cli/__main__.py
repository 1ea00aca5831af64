"""`python -m bartizan.cli`: the command line without its script, for where only the interpreter is on the path."""

from bartizan.cli.app import main

main()
