"""Run long commands beside the app: a queue of jobs on disk, and a worker process for each device that works it off.

A job is one `wtal` command. It lives in a folder and is described by files that are written once, so that whoever looks
(a page, another server, the command line) finds the same and nothing has to be told when a process dies::

    <home>/.wtal/jobs/<id>/  job.yaml       what to do: a command with its options as plain values, device, log, result;
                                            written by who submits it
                             process.json   who does it: process number, machine, start time; written by the job itself
                             progress.json  how far it is (`wtal_core.progress`)
                             exit.json      how it ended; without it and without a process, the job has crashed
                             cancelled  stop  kill       what people ask for

A worker takes the jobs of one device one after the other and ends when there are none. It is a session of its own:
closing the page or stopping the server leaves it and its job alone. If the worker itself is killed, its job goes on,
and the next worker waits for that job before it takes another.

`job` is one job's files, `queue` the queue and its workers, `supervisor` the worker process, `trainings` are trainings
as jobs. Nothing heavy is imported: worker processes stay small. What a request means, `wtal_core.commands` knows.
"""
