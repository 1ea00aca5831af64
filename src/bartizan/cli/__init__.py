"""The command line.

`commands.py` is the table of all commands: what each is called, takes and does, with an example. From it come parsing,
`--help`, completions and docs/reference/cli.md, so that none of them can disagree. Each command has a file of its own
with one public function, imported only when that command runs: `bartizan --help` reads the table and nothing else.

A command function takes its arguments by keyword, under the names in the table, and returns the exit code: 0 done, 1 it
found something wrong, 2 it was called wrongly. What a person must put right is raised as `bartizan.failure.Failure`.
"""
