#!/usr/bin/env bash

#$ -N orimap-worker
#$ -q all.q
#$ -P em-facility
#$ -l h_vmem=4G
#$ -l h_rt=02:00:00
#$ -cwd
#$ -j y
#$ -pe smp 8
module load python/3.11
PYTHON -m distributed.cli.dask_worker tls://10.0.0.1:8786 --name orimap-worker --nthreads 1 --memory-limit 3.73GiB --nworkers 8 --nanny --death-timeout 60 --interface ib0
