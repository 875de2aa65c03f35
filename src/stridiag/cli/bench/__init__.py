"""The benchmark: every operation beside the strongest rivals, one table of cases for command line, scripts and docs.

`problem` draws matrices, `operations` says what is done and how its error is measured, `table` lists the cells with
their targets, `rivals` holds a class for each way to compute, `measuring` runs, `store` keeps results, `show` prints.
"""
