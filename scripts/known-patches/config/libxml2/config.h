#include "../include/win32config.h"
