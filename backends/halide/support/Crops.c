/* Crops.c: an arena as memory of Halide's: views of it are crops, and copies between the two memories are copies of crops. */
#include "Device.h"

/* ---- Memory ----------------------------------------------------------------------------------------- */

#define ROW ((uint64_t)1 << 20)
#define PIECE ((uint64_t)1 << 30)
/* Where parts of a buffer may begin, at least: CL_DEVICE_MEM_BASE_ADDR_ALIGN is 512 bytes on some, Vulkan allows no more than
 * 256. PlanWorkspace.cpp has it, too. */
#define CROP_ALIGN 512

static const struct halide_type_t byte_type = {halide_type_uint, 8, 1};

/* Whether Halide's call succeeded; it has said why unless it ran out of memory of the host's. */
static int check(launch *l, int result) {
  if (!result)
    return 1;
  fail_launch(l, ATTN_DEVICE, "halide: out of memory");
  return 0;
}

/* dims of `bytes` at `offset`: one row, which may be longer than those of the arena. */
static void describe_bytes(halide_dimension_t *dims, uint64_t offset, uint64_t bytes) {
  dims[0] = (halide_dimension_t){(int32_t)(offset % ROW), (int32_t)bytes, 1, 0};
  dims[1] = (halide_dimension_t){(int32_t)(offset / ROW), 1, (int32_t)ROW, 0};
}

/* dims of an allocation. */
static void describe_rows(halide_dimension_t *dims, uint64_t bytes) {
  uint64_t rows = (bytes + ROW - 1) / ROW;
  dims[0] = (halide_dimension_t){0, (int32_t)(rows > 1 ? ROW : bytes), 1, 0};
  dims[1] = (halide_dimension_t){0, (int32_t)rows, (int32_t)ROW, 0};
}

int allocate(launch *l, halide_buffer_t *buffer) {
  int result = halide_device_malloc(l, buffer, runtime_device_interface());
  if (result && buffer->device) { /* it was there when something else failed */
    halide_device_free(l, buffer);
    buffer->device = 0;
    buffer->device_interface = NULL;
  }
  return result;
}

static halide_buffer_t crop_of(const halide_dimension_t *place) {
  return (halide_buffer_t){0, NULL, NULL, 0, byte_type, 2, (halide_dimension_t *)place, NULL};
}

device_memory *allocate_memory(launch *l, uint64_t bytes, int quietly) {
  device_memory *m = malloc(sizeof *m);
  if (!m) {
    fail_launch(l, ATTN_OUT_OF_MEMORY, "out of memory");
    return NULL;
  }
  describe_rows(m->dims, bytes);
  m->buffer = (halide_buffer_t){0, NULL, NULL, 0, byte_type, 2, m->dims, NULL};
  if (quietly)
    set_current(NULL);
  int result = allocate(l, &m->buffer);
  set_current(l);
  m->all = crop_of(m->dims);
  if (!result && (result = halide_device_crop(l, &m->buffer, &m->all)) != 0)
    halide_device_free(l, &m->buffer);
  if (!result)
    return m;
  free(m);
  if (!quietly)
    fail_launch(l, ATTN_DEVICE, "halide: out of device memory");
  return NULL;
}

/* Copies wait for launches by themselves. */
void finish_launches(launch *l) { (void)l; }

void free_memory(launch *l, device_memory *m) {
  if (!is_broken()) {
    halide_device_release_crop(l, &m->all);
    halide_device_free(l, &m->buffer);
  }
  free(m);
}

/* ---- Copies ------------------------------------------------------------------------------------------ */

/* Copies a view between an arena and other memory, the host's or the device's; `view` describes that from its first element on,
 * `offset` is its place in the arena. The arena's side is a crop with the same strides: what both OpenCL and Vulkan copy correctly (in Halide 21 Vulkan's staging
 * buffers ignore minimums). */
static int copy_crop(launch *l, arena *a, uint64_t offset, halide_buffer_t *view, int to_arena) {
  halide_dimension_t place[2];
  describe_bytes(place, offset, 1);
  halide_buffer_t crop = crop_of(place);
  if (!check(l, halide_device_crop(l, &a->memory->buffer, &crop)))
    return 0;
  halide_buffer_t device = {crop.device, crop.device_interface, NULL, 0, view->type, view->dimensions, view->dim, NULL};
  int result = to_arena ? halide_buffer_copy(l, view, crop.device_interface, &device)
                        : halide_buffer_copy(l, &device, view->device_interface, view);
  int released = halide_device_release_crop(l, &crop);
  return check(l, result) && check(l, released);
}

int copy_range(launch *l, arena *a, uint64_t offset, uint64_t bytes, int to_device) {
  int ok = 1;
  for (uint64_t done = 0; ok && done < bytes;) {
    uint64_t piece = bytes - done < PIECE ? bytes - done : PIECE;
    halide_dimension_t dims[1] = {{0, (int32_t)piece, 1, 0}};
    halide_buffer_t view = {0, NULL, (uint8_t *)a->start + offset + done, 0, byte_type, 1, dims, NULL};
    ok = copy_crop(l, a, offset + done, &view, to_device);
    done += piece;
  }
  return ok;
}

/* Without dimensions of size 1, of which Halide 21 makes loops around single elements. */
static void simplify(operand *o) {
  int32_t rank = 0;
  for (int32_t d = 0; d < o->buffer.dimensions; ++d)
    if (o->dims[d].extent != 1)
      o->dims[rank++] = o->dims[d];
  if (!rank)
    o->dims[rank++] = (halide_dimension_t){0, 1, 1, 0};
  o->buffer.dimensions = rank;
}

int copy_elements(launch *l, arena *a, const DLTensor *tensor, int to_device) {
  operand o;
  if (!describe_operand(l, tensor, &o))
    return 0;
  simplify(&o);
  return copy_crop(l, a, (uint64_t)((char *)o.buffer.host - a->start), &o.buffer, to_device);
}

/* Between an arena and the operand's own allocation. */
static int copy_on_device(launch *l, arena *a, uint64_t offset, const operand *o, int to_arena) {
  operand view = *o;
  view.buffer.dim = view.dims;
  simplify(&view);
  return copy_crop(l, a, offset, &view.buffer, to_arena);
}

/* ---- Operands ---------------------------------------------------------------------------------------- */

int describe_on_device(launch *l, const DLTensor *tensors, int32_t i, int32_t inputs, int32_t n, operand *o) {
  const DLTensor *tensor = &tensors[i];
  if (!describe_operand(l, tensor, o))
    return 0;
  uint64_t offset;
  arena *a = place_operand(l, tensors, i, inputs, n, &offset);
  if (!a)
    return 0;
  o->buffer.host = NULL;
  o->own = (halide_buffer_t){0, NULL, NULL, 0, byte_type, 2, o->place, NULL};
  if (!offset) {
    o->buffer.device = a->memory->buffer.device;
    o->buffer.device_interface = a->memory->buffer.device_interface;
    return 1;
  }
  if (offset % CROP_ALIGN == 0) {
    describe_bytes(o->place, offset, 1);
    if (!check(l, halide_device_crop(l, &a->memory->buffer, &o->own)))
      return 0;
  } else if (i < inputs) { /* where a view begins is what lies before its first minimum */
    uint64_t elements = offset / (o->buffer.type.bits / 8);
    if (elements + (uint64_t)o->dims[0].extent > INT32_MAX) {
      fail_launch(l, ATTN_UNSUPPORTED, "expected operands within 2^31 elements of their buffer");
      return 0;
    }
    o->dims[0].min = -(int32_t)elements;
    o->dims[0].extent += (int32_t)elements;
    o->buffer.device = a->memory->buffer.device;
    o->buffer.device_interface = a->memory->buffer.device_interface;
    return 1;
  } else { /* Halide writes everything from the first minimum on */
    describe_rows(o->place, (uint64_t)span_of(tensor) * (o->buffer.type.bits / 8));
    if (!check(l, allocate(l, &o->own)))
      return 0;
    o->copied = 1;
  }
  o->buffer.device = o->own.device;
  o->buffer.device_interface = o->own.device_interface;
  return !o->copied || copy_on_device(l, a, offset, o, 0);
}

void leave_operand(launch *l, const DLTensor *tensor, operand *o) {
  if (!o->own.device)
    return;
  if (!o->copied) {
    halide_device_release_crop(l, &o->own);
    return;
  }
  uint64_t offset;
  arena *a = status_of(l->ctx) == ATTN_OK ? arena_of(l, tensor, &offset) : NULL; /* where it was */
  if (a)
    copy_on_device(l, a, offset, o, 1);
  halide_device_free(l, &o->own);
}
