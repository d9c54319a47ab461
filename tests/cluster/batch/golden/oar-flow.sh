#!/usr/bin/env bash

#OAR -n orimap-3f2a-0123abcd
#OAR -q default
#OAR --project em-facility
#OAR -l /nodes=1/core=1,walltime=02:00:00
#OAR -p mem_core>=7630

module load python/3.11
ulimit -m 7031250
cd '/data/it'"'"'s mine' || exit 1
exec PYTHON -P -m orimap.flows perform '/data/it'"'"'s mine/job.json'
