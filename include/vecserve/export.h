// Marks what the shared library exports. Everything else in libvecserve.so is hidden, so that the
// names of the engine's own dependencies can never collide with those of the host program.
// Included by every public header that declares a class or function with a body in the library.
#pragma once

#define VECSERVE_API [[gnu::visibility("default")]]
