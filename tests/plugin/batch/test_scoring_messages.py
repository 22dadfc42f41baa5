"""Sentences about metrics."""

from napari_cxr.plugin.batch import scoring_messages


def test_of_a_few_it_is_said_how_few_they_are():
    metrics = {'images': 24, 'patients': 24, 'few': {'normal': 4, 'no effusion': 2}}
    said = scoring_messages.measured_text(metrics, 0, so_far=False)
    assert 'Few images: normal 4, no effusion 2. With fewer than 5' in said
    said = scoring_messages.measured_text(metrics | {'patients': 9}, 0, so_far=False)
    assert said.startswith('24 images with a label, of 9 patients. Few patients: normal 4')
    assert 'Few' not in scoring_messages.measured_text(metrics | {'few': {}}, 0, so_far=False)


def test_what_the_model_cannot_say_is_told_with_the_figures_of_the_others():
    metrics = {
        'images': 20,
        'patients': 20,
        'cannot_say': {
            'images': 5,
            'share': [0.25, 0.1, 0.5],
            'decided': {
                'classes': {
                    'opacity': {'sensitivity': [0.9, 0.5, 1.0], 'specificity': [0.8, 0.4, 0.9]}
                }
            },
        },
    }
    said = scoring_messages.measured_text(metrics, 0, so_far=False)
    assert 'For 5 images (25 %) the model cannot say; they count by their predicted' in said
    assert 'Without them: opacity: sensitivity 0.900, specificity 0.800.' in said
    metrics['cannot_say']['decided'] = {}
    assert 'Without them' not in scoring_messages.measured_text(metrics, 0, so_far=False)
