"""What the InfluxDB channels share.

Both ways: `access` has the options of a server, `http` sends a request over `session`, `answers`
says what came back; `naming` and `layouts` know which kit is where.

Writing: `writer` takes a batch of one kit. `lines` makes line protocol of it, by `dialects`, and
`types` fits values to the columns there are; `verdicts` decides what an answer means for the batch,
`creating` makes the database that is missing.

Reading: `rounds` visits databases. `cursor` is where reading stands in one, `tasks` and `windows`
are what it is asked; `rows`, `idents` and `joining` make telegrams of that. `sweep` finds what was
written late, `hints` end a pause.
"""
