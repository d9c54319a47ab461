#!/usr/bin/env condor_submit

MY.DaskWorkerName = "htcondor--$F(MY.JobId)--"
batch_name = orimap-worker
RequestCpus = MY.DaskWorkerCores
RequestMemory = floor(MY.DaskWorkerMemory / 1048576)
RequestDisk = floor(MY.DaskWorkerDisk / 1024)
MY.JobId = "$(ClusterId).$(ProcId)"
MY.DaskWorkerCores = 4
MY.DaskWorkerMemory = 16000000000
MY.DaskWorkerDisk = 20000000000
accounting_group = em.facility
allowed_job_duration = 7200
Requirements = (TARGET.FileSystemDomain == MY.FileSystemDomain)
should_transfer_files = NO

Arguments = "-c 'PYTHON -m distributed.cli.dask_worker tls://10.0.0.1:8786 --name orimap-worker --nthreads 1 --memory-limit 3.73GiB --nworkers 4 --nanny --death-timeout 60 --interface eth0'"
Executable = /bin/sh

Queue
