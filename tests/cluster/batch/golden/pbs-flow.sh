#!/usr/bin/env bash

#PBS -N orimap-3f2a-0123abcd
#PBS -q workq
#PBS -A em-facility
#PBS -l select=1:ncpus=2:mem=7630MB
#PBS -l walltime=08:00:00
#PBS -e ./
#PBS -o ./
#PBS -l place=scatter

module load python/3.11
ulimit -m 7031250
cd '/data/it'"'"'s mine' || exit 1
exec PYTHON -P -m orimap.flows perform '/data/it'"'"'s mine/job.json'
