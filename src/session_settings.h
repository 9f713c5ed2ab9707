/*
 * session_settings.h
 *		What a stepwise script SET, kept for the steps that resume it.
 */
#ifndef TAPMIG_SESSION_SETTINGS_H
#define TAPMIG_SESSION_SETTINGS_H

#include "lib/stringinfo.h"
#include "nodes/nodes.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

extern List *session_settings_capture(void);
extern Jsonb *session_settings_changes(List *baseline);
extern void session_settings_restore(Jsonb *settings);
extern Jsonb *session_settings_merge(Jsonb *said, Jsonb *kept, StringInfo differing);
extern void session_settings_fix(const char *name, const char *value);
extern void session_settings_resets(StringInfo resets);
extern void session_settings_adopt_resets(const char *resets);

/* session_settings_replay.c */
extern void session_settings_replay(Node *statement);

#endif							/* TAPMIG_SESSION_SETTINGS_H */
