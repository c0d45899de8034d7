// Functions of integers: I is i32 or vec4<i32>. Arithmetic wraps around.

fn minimum(x: I, y: I) -> I {
    return min(x, y);
}

fn maximum(x: I, y: I) -> I {
    return max(x, y);
}

// Truncated towards 0; by 0 it is 0.
fn quotient(x: I, y: I) -> I {
    return select(x / select(y, I(1), y == I(0)), I(0), y == I(0));
}

// By repeated squaring; a negative exponent is that of the reciprocal, truncated.
fn power(x: I, y: I) -> I {
    var result = I(1);
    var base = x;
    var left = y;
    for (var bit = 0; bit < 31; bit++) {
        result = select(result, result * base, (left & I(1)) == I(1));
        base = base * base;
        left = left >> U(1u);
    }
    let sign = select(I(1), I(-1), (y & I(1)) == I(1));
    let reciprocal = select(select(I(0), sign, x == I(-1)), I(1), x == I(1));
    return select(result, reciprocal, y < I(0));
}
