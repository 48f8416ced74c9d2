// assign:  target f32, value, alike: target = value, in place. For state that a step hands to the next one.
#pragma once
