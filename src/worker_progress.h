/*
 * worker_progress.h
 *		What a worker is doing, in words.
 */
#ifndef TAPMIG_WORKER_PROGRESS_H
#define TAPMIG_WORKER_PROGRESS_H

extern bool worker_progress_waits_for_me(int pid);
extern char *worker_progress_describe(int pid);

#endif							/* TAPMIG_WORKER_PROGRESS_H */
