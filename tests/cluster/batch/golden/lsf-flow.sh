#!/usr/bin/env bash

#BSUB -J orimap-3f2a-0123abcd
#BSUB -e ./orimap-3f2a-0123abcd-%J.err
#BSUB -o ./orimap-3f2a-0123abcd-%J.out
#BSUB -q normal
#BSUB -P "em-facility"
#BSUB -n 1
#BSUB -M 8000
#BSUB -W 2:00
#BSUB -R "select[mem>32000]"

module load python/3.11
ulimit -m 7031250
cd '/data/it'"'"'s mine' || exit 1
exec PYTHON -P -m orimap.flows perform '/data/it'"'"'s mine/job.json'
