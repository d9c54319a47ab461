#!/usr/bin/env bash

#SBATCH -J orimap-3f2a-0123abcd
#SBATCH -e ./orimap-3f2a-0123abcd-%J.err
#SBATCH -o ./orimap-3f2a-0123abcd-%J.out
#SBATCH -p short
#SBATCH -A em-facility
#SBATCH -n 1
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH -t 08:00:00

ulimit -m 7031250
cd '/data/it'"'"'s mine' || exit 1
exec PYTHON -P -m orimap.flows perform '/data/it'"'"'s mine/job.json'
