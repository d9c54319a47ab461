#!/usr/bin/env condor_submit

MY.DaskWorkerName = "htcondor--$F(MY.JobId)--"
batch_name = orimap-3f2a-0123abcd
RequestCpus = MY.DaskWorkerCores
RequestMemory = floor(MY.DaskWorkerMemory / 1048576)
RequestDisk = floor(MY.DaskWorkerDisk / 1024)
MY.JobId = "$(ClusterId).$(ProcId)"
MY.DaskWorkerCores = 1
MY.DaskWorkerMemory = 8000000000
MY.DaskWorkerDisk = 20000000000
LogDirectory = .
Output = $(LogDirectory)/worker-$F(MY.JobId).out
Error = $(LogDirectory)/worker-$F(MY.JobId).err
Log = $(LogDirectory)/worker-$(ClusterId).log
Stream_Output = True
Stream_Error = True
accounting_group = em.facility
allowed_job_duration = 7200
Requirements = (TARGET.FileSystemDomain == MY.FileSystemDomain)
should_transfer_files = NO

Arguments = "-c 'ulimit -m 7031250; cd ''/data/it''""''""''s mine'' || exit 1; exec PYTHON -P -m orimap.flows perform ''/data/it''""''""''s mine/job.json'''"
Executable = /bin/sh

Queue
