#!/usr/bin/env bash

#SBATCH -J orimap-worker
#SBATCH -p short
#SBATCH -A em-facility
#SBATCH -n 1
#SBATCH --cpus-per-task=8
#SBATCH --mem=30G
#SBATCH -t 02:00:00
#SBATCH --constraint=cpu
module load python/3.11
PYTHON -m distributed.cli.dask_worker tls://10.0.0.1:8786 --name orimap-worker --nthreads 1 --memory-limit 3.73GiB --nworkers 8 --nanny --death-timeout 60 --local-directory /tmp --interface ib0
