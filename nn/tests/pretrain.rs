//! Learning without labels: what is learnt, that it can be gone on with, and that it helps.

use std::sync::Arc;

use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_autograd::{Var, no_grad};
use plies_nn::data::{Dataset, Loader, TensorDataset};
use plies_nn::optim::{Adam, Sgd};
use plies_nn::pretrain::{
    Autoencoder, ContrastiveDivergence, Corruption, Rbm, Stack, Visible, contrast,
};
use plies_nn::train::{Callback, Fit, History, evaluate, fit};
use plies_nn::{Activation, Checkpoint, Mlp, Module, Pass, loss};
use plies_tensor::{DType, Device, Rng, Tensor};

fn normal(dims: &[usize], seed: u64) -> Tensor {
    Rng::new(seed).normal(dims, DType::F64, &Device::cpu())
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).to_vec().unwrap()
}

/// All patterns of `side` by `side` pixels in which every row is all of one kind, or every column.
fn bars_and_stripes(side: usize) -> Tensor {
    let mut patterns = std::collections::BTreeSet::new();
    for lines in 0..1u32 << side {
        let on = |line: usize| (lines >> line & 1) as u8;
        patterns.insert((0..side * side).map(|at| on(at / side)).collect::<Vec<u8>>());
        patterns.insert((0..side * side).map(|at| on(at % side)).collect::<Vec<u8>>());
    }
    let n = patterns.len();
    let pixels: Vec<f32> = patterns.into_iter().flatten().map(f32::from).collect();
    Tensor::from_vec(pixels, [n, side * side])
}

fn loader(x: &Tensor, batch_size: usize) -> Loader {
    let data = TensorDataset::new(x.clone(), Tensor::arange(x.dim(0)));
    Loader::new(Arc::new(data), batch_size).shuffle(3)
}

/// Where inputs are targets.
fn autoencoding(x: &Tensor, batch_size: usize) -> Loader {
    Loader::new(Stack::new().codes(loader(x, 1).dataset().clone()), batch_size).shuffle(3)
}

#[test]
fn what_is_damaged_is_what_the_corruption_says() {
    let x = Var::constant(Tensor::full([20_000], 0.3, DType::F64, &Device::cpu()));
    let damaged = |corruption: Corruption| {
        assert_eq!(numbers(corruption.forward(&x, &mut Pass::eval()).value()), numbers(x.value()));
        numbers(corruption.forward(&x, &mut Pass::train(Rng::new(1))).value())
    };
    let share = |x: &[f64], value: f64| x.iter().filter(|&&x| x == value).count() as f64 / 20_000.0;
    // Five standard deviations of a share of 20 000 are at most 0.018.
    let masked = damaged(Corruption::Masking(0.25));
    assert!((share(&masked, 0.0) - 0.25).abs() < 0.018);
    assert!((share(&masked, 0.3) - 0.75).abs() < 0.018);
    let salted = damaged(Corruption::SaltAndPepper(0.4));
    for (value, expected) in [(0.0, 0.2), (1.0, 0.2), (0.3, 0.6)] {
        assert!((share(&salted, value) - expected).abs() < 0.018);
    }
    let noisy = damaged(Corruption::Gaussian(0.5));
    let mean = noisy.iter().sum::<f64>() / 20_000.0;
    let var = noisy.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
    assert!((mean - 0.3).abs() < 0.018 && (var - 0.25).abs() < 0.0125, "{mean} {var}");
    assert_eq!(damaged(Corruption::None), numbers(x.value()));
}

#[test]
fn gradients_of_autoencoders_are_those_of_finite_differences() {
    for corruption in [Corruption::None, Corruption::Masking(0.3), Corruption::Gaussian(0.2)] {
        for tied in [false, true] {
            let make = || {
                let layer = Autoencoder::new(4, 3, Activation::Sigmoid, &mut Rng::new(1));
                let layer = layer.corruption(corruption);
                if tied { layer.tied() } else { layer }
            };
            let mut inputs = vec![normal(&[2, 4], 2)];
            make().for_each_parameter(&mut |_, p| inputs.push(p.value().to_dtype(DType::F64)));
            assert_eq!(inputs.len(), if tied { 4 } else { 5 });
            let f = |inputs: &[Var]| {
                let mut layer = make();
                let mut parameters = inputs[1..].iter();
                layer.for_each_parameter_mut(&mut |_, p| *p = parameters.next().unwrap().clone());
                layer.forward(&inputs[0], &mut Pass::train(Rng::new(5)))
            };
            gradcheck(f, &inputs).unwrap();
            gradgradcheck(f, &inputs).unwrap();
        }
    }
}

#[test]
fn gradients_of_hidden_means_are_those_of_finite_differences() {
    let f = |inputs: &[Var]| {
        let mut rbm = small(Visible::Gaussian);
        let mut parameters = inputs[1..].iter();
        rbm.for_each_parameter_mut(&mut |name, p| {
            if name != "visible_bias" {
                *p = parameters.next().unwrap().clone();
            }
        });
        rbm.forward(&inputs[0], &mut Pass::eval())
    };
    let inputs = [normal(&[4, 3], 1), normal(&[2, 3], 2), normal(&[2], 3)];
    gradcheck(f, &inputs).unwrap();
    gradgradcheck(f, &inputs).unwrap();
}

/// A machine of three visible and two hidden units with given weights.
fn small(visible: Visible) -> Rbm {
    let rng = &mut Rng::new(1);
    let rbm = match visible {
        Visible::Binary => Rbm::binary(3, 2, rng),
        Visible::Gaussian => Rbm::gaussian(3, 2, rng),
    };
    rbm.with_weights(normal(&[2, 3], 4), normal(&[2], 5), normal(&[3], 6))
}

/// E(v, h), by its definition.
fn energy(rbm: &Rbm, v: &[f64], h: &[f64]) -> f64 {
    let (w, b, a) = (rbm.weight(), rbm.hidden_bias(), rbm.visible_bias());
    let [w, b, a] = [w, b, a].map(|p| numbers(p.value()));
    let mut e = -b.iter().zip(h).map(|(b, h)| b * h).sum::<f64>();
    for (i, &v_i) in v.iter().enumerate() {
        e += match rbm.visible() {
            Visible::Binary => -a[i] * v_i,
            Visible::Gaussian => 0.5 * (v_i - a[i]).powi(2),
        };
        e -= h.iter().enumerate().map(|(j, h)| h * w[j * v.len() + i] * v_i).sum::<f64>();
    }
    e
}

/// All rows of `n` zeros and ones.
fn states(n: usize) -> Vec<Vec<f64>> {
    (0..1usize << n).map(|s| (0..n).map(|i| (s >> i & 1) as f64).collect()).collect()
}

#[test]
fn free_energies_and_means_are_sums_over_all_states() {
    for visible in [Visible::Binary, Visible::Gaussian] {
        let rbm = small(visible);
        for v in [vec![0.0, 1.0, 1.0], vec![1.0, 0.0, 0.0], vec![0.3, -0.2, 1.7]] {
            let row = Tensor::from_vec(v.clone(), [1, 3]);
            let weight = |h: &Vec<f64>| (-energy(&rbm, &v, h)).exp();
            let total: f64 = states(2).iter().map(weight).sum();
            let found = rbm.free_energy(&row).item().unwrap();
            assert!((found + total.ln()).abs() < 1e-12, "{found} for {}", -total.ln());
            for (j, found) in numbers(&rbm.hidden_means(&row)).into_iter().enumerate() {
                let on: f64 = states(2).iter().filter(|h| h[j] == 1.0).map(weight).sum();
                assert!((found - on / total).abs() < 1e-12);
            }
        }
    }
    let rbm = small(Visible::Binary);
    for h in states(2) {
        let weight = |v: &Vec<f64>| (-energy(&rbm, v, &h)).exp();
        let total: f64 = states(3).iter().map(weight).sum();
        let row = Tensor::from_vec(h.clone(), [1, 2]);
        for (i, found) in numbers(&rbm.visible_means(&row)).into_iter().enumerate() {
            let on: f64 = states(3).iter().filter(|v| v[i] == 1.0).map(weight).sum();
            assert!((found - on / total).abs() < 1e-12);
        }
    }
}

#[test]
fn the_probabilities_of_all_inputs_add_up_to_one() {
    let rbm = small(Visible::Binary);
    let all = Tensor::from_vec(states(3).concat(), [8, 3]);
    let likelihood = |v: &Tensor| rbm.log_likelihood(&v.unsqueeze(0)).unwrap().exp();
    let total: f64 = (0..8).map(|i| likelihood(&all.select(0, i))).sum();
    assert!((total - 1.0).abs() < 1e-12, "{total}");
    // The integral over a lattice; the density is smooth, so that the sum is all but exact.
    let rbm = small(Visible::Gaussian);
    let (step, reach) = (0.5, 12.0);
    let n = (2.0 * reach / step) as usize;
    let at = |i: usize| i as f64 * step - reach;
    let points = (0..n * n * n).flat_map(|i| [at(i / n / n), at(i / n % n), at(i % n)]);
    let points = Tensor::from_vec(points.collect::<Vec<f64>>(), [n * n * n, 3]);
    let log_p = rbm.free_energy(&points) * -1.0 - rbm.log_partition().unwrap();
    let total = numbers(&log_p).into_iter().map(f64::exp).sum::<f64>() * step * step * step;
    assert!((total - 1.0).abs() < 1e-6, "{total}");
}

/// After many steps chains from anywhere are samples of the machine.
#[test]
fn gibbs_chains_visit_inputs_as_often_as_they_are_likely() {
    let rbm = small(Visible::Binary);
    let n = 20_000;
    let start = Tensor::ones([n, 3], DType::F64, &Device::cpu());
    let samples = numbers(&rbm.gibbs(&start, 50, &mut Rng::new(7)));
    let p = numbers(
        &(rbm.free_energy(&Tensor::from_vec(states(3).concat(), [8, 3])) * -1.0).softmax(0),
    );
    for (state, p) in states(3).iter().zip(p) {
        let found = samples.chunks(3).filter(|v| v == state).count() as f64 / n as f64;
        let error = 5.0 * (p * (1.0 - p) / n as f64).sqrt();
        assert!((found - p).abs() < error, "{found} for {p}");
    }
    // Gaussian units have the variance 1 around their means, which the hidden units move.
    let rbm = small(Visible::Gaussian);
    let h = Tensor::from_vec([1.0, 0.0].repeat(n), [n, 2]);
    let v = rbm.sample_visible(&h, &mut Rng::new(8));
    let error = 5.0 / (n as f64).sqrt();
    let (mean, var) = (v.mean(&[0], false), v.var(&[0], 1, false));
    let expected = numbers(&rbm.visible_means(&h.slice(0, 0..1)));
    for ((mean, var), expected) in numbers(&mean).into_iter().zip(numbers(&var)).zip(expected) {
        assert!((mean - expected).abs() < error, "{mean} for {expected}");
        assert!((var - 1.0).abs() < 1.5 * error, "{var}");
    }
}

#[test]
fn biases_that_are_centred_on_data_make_it_as_likely_as_its_means() {
    let x = Tensor::from([[1f32, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]);
    let nothing = Tensor::zeros([1, 2], DType::F32, &Device::cpu());
    let means = |rbm: Rbm| numbers(&rbm.centred_on(&x).visible_means(&nothing));
    let close = |found: Vec<f64>, expected: [f64; 3]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    };
    // What is always so could be otherwise in one of N cases.
    close(means(Rbm::binary(3, 2, &mut Rng::new(1))), [0.75, 0.25, 0.5]);
    close(means(Rbm::gaussian(3, 2, &mut Rng::new(1))), [1.0, 0.25, 0.5]);
}

/// Random guesses have ln p = -9 ln 2 = -6.24; no machine is better than -ln 14 = -2.64.
#[test]
fn a_machine_learns_bars_and_stripes() {
    let x = bars_and_stripes(3);
    assert_eq!(x.dims(), [14, 9]);
    let learn = |persistent: bool| {
        let mut rng = Rng::new(2);
        let mut machine = ContrastiveDivergence::new(Rbm::binary(9, 12, &mut rng));
        if persistent {
            machine = machine.persistent(100, &mut rng).steps(5);
        }
        let mut likelihoods = vec![machine.rbm().log_likelihood(&x).unwrap()];
        let lrs = if persistent { [0.1, 0.1, 0.03] } else { [0.2, 0.1, 0.05] };
        for (i, lr) in lrs.into_iter().enumerate() {
            let epochs = 1000 * i..1000 * (i + 1);
            let settings = Fit { epochs, seed: 4, ..Fit::epochs(0) };
            let mut sgd = Sgd::new(lr).momentum(0.5);
            fit(&mut machine, &mut sgd, &contrast, &loader(&x, 14), &settings, &mut []).unwrap();
            likelihoods.push(machine.rbm().log_likelihood(&x).unwrap());
        }
        likelihoods
    };
    let persistent = learn(true);
    assert!((persistent[0] + 9.0 * 2f64.ln()).abs() < 0.01, "{persistent:?}");
    assert!(persistent.is_sorted() && persistent[3] > -3.1, "{persistent:?}");
    let one_step = learn(false);
    assert!(one_step[3] > -3.4, "{one_step:?}");
}

#[test]
fn gaussian_units_learn_where_clusters_are() {
    // Two clusters around (2, 2) and (-2, -2).
    let mut rng = Rng::new(5);
    let noise = rng.normal([400, 2], DType::F32, &Device::cpu());
    let side: Vec<f32> = (0..400).map(|i| if i % 2 == 0 { 2.0 } else { -2.0 }).collect();
    let x = noise + Tensor::from_vec(side, [400, 1]);
    let machine = Rbm::gaussian(2, 1, &mut rng).centred_on(&x);
    let mut machine = ContrastiveDivergence::new(machine).steps(2);
    let before = machine.rbm().log_likelihood(&x).unwrap();
    let mut sgd = Sgd::new(0.02);
    fit(&mut machine, &mut sgd, &contrast, &loader(&x, 40), &Fit::epochs(60), &mut []).unwrap();
    let rbm = machine.into_rbm();
    let after = rbm.log_likelihood(&x).unwrap();
    // The mixture itself has -2.84 - 0.69 + a little; one cluster at 0 has -5.8.
    assert!(before < -5.0 && after > -3.8, "{before} {after}");
    let h = numbers(&rbm.hidden_means(&x));
    // One of the clusters turns the unit on, the other off.
    let first = h[0] > 0.5;
    let right = h.iter().enumerate().filter(|(i, h)| (**h > 0.5) == (first == (i % 2 == 0)));
    assert!(right.count() > 390);
}

#[test]
fn sparsity_brings_hidden_units_to_be_on_as_often_as_asked() {
    let x = bars_and_stripes(3);
    let activity = |sparse: bool| {
        let mut machine = ContrastiveDivergence::new(Rbm::binary(9, 16, &mut Rng::new(2)));
        if sparse {
            machine = machine.sparse(0.1, 3.0);
        }
        let mut sgd = Sgd::new(0.05);
        fit(&mut machine, &mut sgd, &contrast, &loader(&x, 14), &Fit::epochs(400), &mut [])
            .unwrap();
        machine.rbm().hidden_means(&x).mean_all().item().unwrap()
    };
    let (free, sparse) = (activity(false), activity(true));
    assert!((sparse - 0.1).abs() < 0.05 && free > 0.2, "{free} {sparse}");
}

#[test]
fn a_resumed_training_has_the_bits_of_one_without_a_stop_on_any_number_of_threads() {
    // Units, weights and chains enough for several threads.
    let x = Rng::new(5).bernoulli(0.3, [400, 256], DType::F32, &Device::cpu());
    let new = || {
        let mut rng = Rng::new(6);
        let machine = ContrastiveDivergence::new(Rbm::binary(256, 300, &mut rng));
        (machine.steps(2).persistent(250, &mut rng).sparse(0.2, 0.1), Sgd::new(0.1).momentum(0.9))
    };
    let run = |machine: &mut ContrastiveDivergence, sgd: &mut Sgd, epochs| {
        let settings = Fit { epochs, seed: 4, ..Fit::epochs(0) };
        fit(machine, sgd, &contrast, &loader(&x, 200), &settings, &mut []).unwrap();
    };
    let save = |machine: &ContrastiveDivergence, sgd: &Sgd| {
        let mut checkpoint = Checkpoint::new();
        checkpoint.put_model(machine);
        checkpoint.put_optimizer(sgd);
        checkpoint.to_bytes().unwrap()
    };
    let whole = |threads| {
        plies_tensor::set_threads(threads);
        let (mut machine, mut sgd) = new();
        run(&mut machine, &mut sgd, 0..4);
        save(&machine, &sgd)
    };
    let turn = crate::threads::Turn::take();
    let once = whole(1);
    assert!(whole(2) == once && whole(4) == once);
    drop(turn);
    let (mut machine, mut sgd) = new();
    run(&mut machine, &mut sgd, 0..2);
    let checkpoint = Checkpoint::from_bytes(&save(&machine, &sgd), "memory").unwrap();
    let (mut machine, mut sgd) = new();
    checkpoint.load_model(&mut machine).unwrap();
    checkpoint.load_optimizer(&mut sgd).unwrap();
    run(&mut machine, &mut sgd, 2..4);
    assert!(save(&machine, &sgd) == once);
}

#[test]
fn callbacks_see_the_gap_and_evaluation_the_free_energy() {
    let x = bars_and_stripes(3);
    let mut rng = Rng::new(6);
    let machine = ContrastiveDivergence::new(Rbm::binary(9, 5, &mut rng));
    let mut machine = machine.persistent(20, &mut rng);
    let mut history = History::default();
    for epoch in 0..3 {
        let rbm = machine.rbm();
        let [w, b, a] =
            [rbm.weight(), rbm.hidden_bias(), rbm.visible_bias()].map(|p| p.value().clone());
        let before = Rbm::binary(9, 5, &mut rng).with_weights(w, b, a);
        // All examples in one batch, after which the chains are what was imagined in it.
        let settings = Fit { epochs: epoch..epoch + 1, ..Fit::epochs(0) };
        let (sgd, callbacks) = (&mut Sgd::new(0.1), &mut [&mut history as &mut dyn Callback]);
        fit(&mut machine, sgd, &contrast, &loader(&x, 14), &settings, callbacks).unwrap();
        let [(_, chains)] = &machine.named_buffers()[..] else { panic!("the chains alone") };
        let mean = |v: &Tensor| before.free_energy(v).mean_all().item().unwrap();
        let (gap, found) = (mean(&x) - mean(chains), history.epochs()[epoch].loss);
        assert!(gap.abs() > 1e-3 && (found - gap).abs() < 1e-5, "{found} for {gap}");
    }
    let energy = machine.forward(&Var::constant(x.clone()), &mut Pass::eval());
    let expected = machine.rbm().free_energy(&x).mean_all().item().unwrap();
    assert_eq!(energy.item().unwrap(), expected);
}

/// 8 by 8 pixels: a bar of two rows, or of two columns, somewhere; its pixels are 1, and then a share of all
/// is turned around.
fn bars(n: usize, turned: f64, rng: &mut Rng) -> (Tensor, Tensor) {
    let (mut pixels, mut classes) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let (class, at) = (rng.below(2), rng.below(7));
        for cell in 0..64 {
            let line = [cell / 8, cell % 8][class];
            let on = line == at || line == at + 1;
            pixels.push(f32::from(on != (rng.next_f64() < turned)));
        }
        classes.push(class as i32);
    }
    (Tensor::from_vec(pixels, [n, 64]), Tensor::from(classes))
}

#[test]
fn a_denoising_autoencoder_restores_more_than_is_left() {
    let mut rng = Rng::new(3);
    let (x, _) = bars(1000, 0.02, &mut rng);
    let (new, _) = bars(500, 0.02, &mut rng);
    for (corruption, tied) in [
        (Corruption::Masking(0.3), true),
        (Corruption::SaltAndPepper(0.3), false),
        (Corruption::Gaussian(0.5), true),
    ] {
        let layer = Autoencoder::new(64, 32, Activation::Sigmoid, &mut rng).corruption(corruption);
        let mut layer = if tied { layer.tied() } else { layer };
        let loss = &loss::binary_cross_entropy;
        let loader = autoencoding(&x, 50);
        fit(&mut layer, &mut Adam::new(0.01), loss, &loader, &Fit::epochs(30), &mut []).unwrap();
        let whole = Var::constant(new.clone());
        let damaged = corruption.forward(&whole, &mut Pass::train(Rng::new(9)));
        let restored = no_grad(|| layer.decode(&layer.encode(&damaged)));
        let restored = Activation::Sigmoid.apply(&restored);
        let error = |x: &Var| loss::mse(x, &new).item().unwrap();
        let (left, now) = (error(&damaged), error(&restored));
        assert!(now < 0.5 * left, "{corruption:?}: {now} restored, {left} damaged");
    }
}

#[test]
fn a_network_that_begins_with_what_was_learnt_without_labels_needs_few_of_them() {
    let mut rng = Rng::new(8);
    let (unlabelled, _) = bars(2000, 0.1, &mut rng);
    let (x, targets) = bars(40, 0.1, &mut rng);
    let (new, truth) = bars(1000, 0.1, &mut rng);
    let labelled = Loader::new(Arc::new(TensorDataset::new(x, targets)), 10).shuffle(1);
    let held_out = Loader::new(Arc::new(TensorDataset::new(new, truth)), 500);
    let tune = |mut model: Mlp| {
        let loss = &loss::cross_entropy;
        fit(&mut model, &mut Adam::new(0.01), loss, &labelled, &Fit::epochs(100), &mut []).unwrap();
        evaluate(&model, &held_out, 2, loss).unwrap().confusion.accuracy()
    };
    let data: Arc<dyn Dataset> = loader(&unlabelled, 1).dataset().clone();

    let mut machines = Stack::new();
    let mut autoencoders = Stack::new();
    for (inputs, hidden) in [(64, 32), (32, 16)] {
        let machine = Rbm::binary(inputs, hidden, &mut rng);
        let mut machine = ContrastiveDivergence::new(machine);
        let loader = Loader::new(machines.codes(data.clone()), 50).shuffle(3);
        let mut sgd = Sgd::new(0.1).momentum(0.5);
        fit(&mut machine, &mut sgd, &contrast, &loader, &Fit::epochs(30), &mut []).unwrap();
        machines.push(machine.rbm());

        let layer = Autoencoder::new(inputs, hidden, Activation::Sigmoid, &mut rng).tied();
        let mut layer = layer.corruption(Corruption::Masking(0.3));
        let loader = Loader::new(autoencoders.codes(data.clone()), 50).shuffle(3);
        let loss = &loss::binary_cross_entropy;
        fit(&mut layer, &mut Adam::new(0.005), loss, &loader, &Fit::epochs(30), &mut []).unwrap();
        autoencoders.push(&layer);
    }
    let alone = tune(Mlp::new(&[64, 32, 16, 2], Activation::Sigmoid, &mut rng));
    let with_machines = tune(machines.into_mlp(2, &mut rng));
    let with_autoencoders = tune(autoencoders.into_mlp(2, &mut rng));
    assert!(with_machines > alone + 0.1, "{with_machines} with, {alone} without");
    assert!(with_autoencoders > alone + 0.1, "{with_autoencoders} with, {alone} without");
}

#[test]
fn a_stack_computes_what_its_layers_do_and_unrolls_to_their_way_back() {
    let mut rng = Rng::new(4);
    let machine = Rbm::gaussian(5, 4, &mut rng);
    let layer = Autoencoder::new(4, 3, Activation::Tanh, &mut rng);
    let mut stack = Stack::new();
    let x = rng.normal([6, 5], DType::F32, &Device::cpu());
    assert_eq!(numbers(&stack.encode(&x)), numbers(&x));
    stack.push(&machine);
    stack.push(&layer);
    let input = Var::constant(x.clone());
    let hidden = machine.forward(&input, &mut Pass::eval());
    let code = layer.encode(&hidden);
    assert_eq!(numbers(&stack.encode(&x)), numbers(code.value()));
    assert_eq!(
        numbers(stack.encoder().forward(&input, &mut Pass::eval()).value()),
        numbers(code.value())
    );
    let back = layer.decode(&code).value().clone();
    let back = machine.visible_means(&Activation::Sigmoid.apply(&back));
    let unrolled = stack.unrolled().forward(&input, &mut Pass::eval());
    for (found, expected) in numbers(unrolled.value()).into_iter().zip(numbers(&back)) {
        assert!((found - expected).abs() < 1e-6);
    }
    let data: Arc<dyn Dataset> = Arc::new(TensorDataset::new(x.clone(), Tensor::arange(6)));
    let batch = stack.codes(data).batch(&[1, 3]);
    assert_eq!(numbers(&batch.inputs), numbers(&batch.targets));
    assert_eq!(batch.inputs.dims(), [2, 3]);
    let sigmoids = {
        let mut stack = Stack::new();
        stack.push(&machine);
        stack.into_mlp(2, &mut rng)
    };
    assert_eq!(format!("{sigmoids:?}"), "Mlp(5-4-2 sigmoid)");
}
