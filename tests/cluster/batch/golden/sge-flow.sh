#!/usr/bin/env bash

#$ -N orimap-3f2a-0123abcd
#$ -q all.q
#$ -P em-facility
#$ -l h_vmem=4G
#$ -l h_rt=02:00:00
#$ -e ./
#$ -o ./
#$ -cwd
#$ -j y
#$ -pe smp 2

module load python/3.11
ulimit -m 7031250
cd '/data/it'"'"'s mine' || exit 1
exec PYTHON -P -m orimap.flows perform '/data/it'"'"'s mine/job.json'
