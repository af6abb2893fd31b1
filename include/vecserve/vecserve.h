// Everything of the embeddable database in one include. The headers, in reading order: database.h
// (open and close), collection.h (write, search, read), options.h (all settings), types.h (rows,
// vectors, ids), status.h (errors).
#pragma once

#include "vecserve/collection.h"
#include "vecserve/database.h"
#include "vecserve/options.h"
#include "vecserve/status.h"
#include "vecserve/types.h"
