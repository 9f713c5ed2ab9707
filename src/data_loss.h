/*
 * data_loss.h
 *		Watches a script for statements that lose rows' values.
 */
#ifndef TAPMIG_DATA_LOSS_H
#define TAPMIG_DATA_LOSS_H

#include "script.h"
#include "settings.h"

typedef struct DataLoss DataLoss;

extern void data_loss_install_hooks(void);
extern DataLoss *data_loss_create(const Settings *settings, const Script *script);
extern void data_loss_begin(DataLoss *loss, bool anew);
extern void data_loss_end(DataLoss *loss);
extern void data_loss_finish(const DataLoss *loss);

#endif							/* TAPMIG_DATA_LOSS_H */
